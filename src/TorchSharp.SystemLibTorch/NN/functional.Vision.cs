using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            private static readonly Operator Pad = new("pad");
            private static readonly Operator Nearest1d = new("upsample_nearest1d.vec");
            private static readonly Operator Nearest2d = new("upsample_nearest2d.vec");
            private static readonly Operator Nearest3d = new("upsample_nearest3d.vec");
            private static readonly Operator Bilinear = new("upsample_bilinear2d.vec");

            public static Tensor pad(Tensor input, ReadOnlySpan<long> pad, PaddingModes mode = PaddingModes.Constant, double value = 0)
                => mode is PaddingModes.Constant or PaddingModes.Zeros
                    ? Pad.Call(input, pad.ToArray(), Value.Text("constant"u8), value)
                    : Pad.Call(input, pad.ToArray(), Name(mode));

            /// <summary>Resamples [B, C, ...] with one to three sizes; bilinear for two.</summary>
            public static Tensor interpolate(
                Tensor x,
                long[]? size = null,
                double[]? scale_factor = null,
                InterpolationMode mode = InterpolationMode.Nearest,
                bool? align_corners = null,
                bool recompute_scale_factor = false,
                bool antialias = false)
            {
                if (antialias || recompute_scale_factor)
                    throw new NotSupportedException("The system provider resamples without antialias or recompute_scale_factor only.");
                return (mode, x.Dimensions) switch
                {
                    (InterpolationMode.Nearest, 3) => Nearest1d.Call(x, size, scale_factor),
                    (InterpolationMode.Nearest, 4) => Nearest2d.Call(x, size, scale_factor),
                    (InterpolationMode.Nearest, 5) => Nearest3d.Call(x, size, scale_factor),
                    (InterpolationMode.Bilinear, 4) => Bilinear.Call(x, size, align_corners ?? false, scale_factor),
                    _ => throw new NotSupportedException(
                        $"The system provider resamples with Nearest, or 4 dimensions with Bilinear, not {x.Dimensions} with {mode}."),
                };
            }

            private static Value Name(PaddingModes mode) => mode switch
            {
                PaddingModes.Reflect => Value.Text("reflect"u8),
                PaddingModes.Replicate => Value.Text("replicate"u8),
                _ => Value.Text("circular"u8),
            };
        }
    }
}
