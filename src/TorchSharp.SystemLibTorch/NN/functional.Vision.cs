using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            private static readonly Operator Pad = new("pad");
            private static readonly Operator Nearest = new("upsample_nearest2d.vec");
            private static readonly Operator Bilinear = new("upsample_bilinear2d.vec");

            public static Tensor pad(Tensor input, ReadOnlySpan<long> pad, PaddingModes mode = PaddingModes.Constant, double value = 0)
                => mode is PaddingModes.Constant or PaddingModes.Zeros
                    ? Pad.Call(input, pad.ToArray(), Value.Text("constant"u8), value)
                    : Pad.Call(input, pad.ToArray(), Name(mode));

            /// <summary>Resamples [B, C, H, W]; the other ranks of TorchSharp are not declared here.</summary>
            public static Tensor interpolate(
                Tensor x,
                long[]? size = null,
                double[]? scale_factor = null,
                InterpolationMode mode = InterpolationMode.Nearest,
                bool? align_corners = null,
                bool recompute_scale_factor = false,
                bool antialias = false)
            {
                if (antialias || recompute_scale_factor || x.Dimensions != 4)
                    throw new NotSupportedException("The system provider resamples [B, C, H, W] only, without antialias or recompute_scale_factor.");
                return mode switch
                {
                    InterpolationMode.Nearest => Nearest.Call(x, size, scale_factor),
                    InterpolationMode.Bilinear => Bilinear.Call(x, size, align_corners ?? false, scale_factor),
                    _ => throw new NotSupportedException($"The system provider resamples with Nearest or Bilinear, not with {mode}."),
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
