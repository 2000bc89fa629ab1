using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            private static readonly Operator Linear = new("linear");
            private static readonly Operator Conv1d = new("conv1d");
            private static readonly Operator Conv2d = new("conv2d");
            private static readonly Operator Conv3d = new("conv3d");
            private static readonly Operator GroupNorm = new("group_norm");
            private static readonly Operator LayerNorm = new("layer_norm");
            private static readonly Operator GeluInPlace = new("gelu_");
            private static readonly Operator Dropout = new("dropout");
            private static readonly Operator DropoutInPlace = new("dropout_");
            private static readonly Operator AvgPool1d = new("avg_pool1d");
            private static readonly Operator AvgPool2d = new("avg_pool2d");
            private static readonly Operator AvgPool3d = new("avg_pool3d");
            private static readonly Operator SiluInPlace = new("silu_");

            /// <summary>x w' + b, by a kernel of our own for small layers on the CPU.</summary>
            public static unsafe Tensor linear(Tensor input, Tensor weights, Tensor? bias = null)
            {
                nint result;
                Native.Check(Native.sl_linear(input.Handle, weights.Handle, bias?.Handle ?? 0, &result));
                GC.KeepAlive(input);
                GC.KeepAlive(weights);
                GC.KeepAlive(bias);
                return result == 0 ? Linear.Call(input, weights, bias) : new Tensor(result);
            }

            public static Tensor conv2d(
                Tensor input,
                Tensor weight,
                Tensor? bias = null,
                long[]? strides = null,
                long[]? padding = null,
                long[]? dilation = null,
                long groups = 1)
                => Conv2d.Call(input, weight, bias, strides ?? [1], padding ?? [0], dilation ?? [1], groups);

            public static Tensor conv1d(
                Tensor input, Tensor weight, Tensor? bias = null, long? stride = null, long? padding = null, long? dilation = null, long groups = 1)
                => Conv1d.Call(input, weight, bias, (long[])[stride ?? 1], (long[])[padding ?? 0], (long[])[dilation ?? 1], groups);

            public static Tensor conv3d(
                Tensor input,
                Tensor weight,
                Tensor? bias = null,
                long[]? strides = null,
                long[]? padding = null,
                long[]? dilation = null,
                long groups = 1)
                => Conv3d.Call(input, weight, bias, strides ?? [1], padding ?? [0], dilation ?? [1], groups);

            public static Tensor group_norm(
                Tensor input, long num_groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05)
                => FusedGroupNorm(input, num_groups, weight, bias, eps) ?? GroupNorm.Call(input, num_groups, weight, bias, eps);

            public static Tensor layer_norm(
                Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05)
                => LayerNorm.Call(input, normalized_shape, weight, bias, eps);

            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false)
                => (inplace ? DropoutInPlace : Dropout).Call(input, p, training);

            public static Tensor avg_pool2d(
                Tensor input,
                long[] kernel_size,
                long[]? stride = null,
                long[]? padding = null,
                bool ceil_mode = false,
                bool count_include_pad = true,
                long? divisor_override = null)
                => AvgPool2d.Call(input, kernel_size, stride ?? kernel_size, padding ?? [0], ceil_mode, count_include_pad, divisor_override);

            public static Tensor avg_pool1d(
                Tensor input, long kernel_size, long? stride = null, long? padding = null, bool ceil_mode = false, bool count_include_pad = true)
                => AvgPool1d.Call(
                    input, (long[])[kernel_size], (long[])[stride ?? kernel_size], (long[])[padding ?? 0], ceil_mode, count_include_pad);

            public static Tensor avg_pool3d(
                Tensor input,
                long[] kernel_size,
                long[]? stride = null,
                long[]? padding = null,
                bool ceil_mode = false,
                bool count_include_pad = true,
                long? divisor_override = null)
                => AvgPool3d.Call(input, kernel_size, stride ?? kernel_size, padding ?? [0], ceil_mode, count_include_pad, divisor_override);

            public static Tensor silu(Tensor x, bool inplace = false) => inplace ? InPlace(SiluInPlace, x) : x.silu();

            public static Tensor gelu(Tensor x) => gelu(x, Modules.GELU.Approximate.none);

            public static Tensor gelu(Tensor x, Modules.GELU.Approximate approximate, bool inplace = false)
            {
                if (!inplace)
                    return x.gelu(approximate);
                GeluInPlace.Run(x, Tensor.NameOf(approximate));
                return x.alias();
            }

            /// <summary>Null where the kernel of our own does not serve.</summary>
            private static unsafe Tensor? FusedGroupNorm(Tensor input, long groups, Tensor? weight, Tensor? bias, double epsilon)
            {
                nint result;
                Native.Check(Native.sl_group_norm(input.Handle, groups, weight?.Handle ?? 0, bias?.Handle ?? 0, epsilon, &result));
                GC.KeepAlive(input);
                GC.KeepAlive(weight);
                GC.KeepAlive(bias);
                return result == 0 ? null : new Tensor(result);
            }

            /// <summary>Changes a tensor; as in TorchSharp, the answer is a new object of the same memory.</summary>
            internal static Tensor InPlace(Operator op, Tensor tensor)
            {
                op.Run(tensor);
                return tensor.alias();
            }
        }
    }
}
