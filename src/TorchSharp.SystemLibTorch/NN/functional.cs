using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            private static readonly Operator Linear = new("linear");
            private static readonly Operator Conv2d = new("conv2d");
            private static readonly Operator GroupNorm = new("group_norm");
            private static readonly Operator LayerNorm = new("layer_norm");
            private static readonly Operator Dropout = new("dropout");
            private static readonly Operator DropoutInPlace = new("dropout_");
            private static readonly Operator AvgPool2d = new("avg_pool2d");
            private static readonly Operator MseLoss = new("mse_loss");
            private static readonly Operator Gelu = new("gelu");
            private static readonly Operator OneHot = new("one_hot");

            public static Tensor linear(Tensor input, Tensor weights, Tensor? bias = null) => Linear.Call(input, weights, bias);

            public static Tensor conv2d(
                Tensor input,
                Tensor weight,
                Tensor? bias = null,
                long[]? strides = null,
                long[]? padding = null,
                long[]? dilation = null,
                long groups = 1)
                => Conv2d.Call(input, weight, bias, strides ?? [1], padding ?? [0], dilation ?? [1], groups);

            public static Tensor group_norm(
                Tensor input, long num_groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05)
                => GroupNorm.Call(input, num_groups, weight, bias, eps);

            public static Tensor layer_norm(
                Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05)
                => LayerNorm.Call(input, normalized_shape, weight, bias, eps);

            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false)
                => (inplace ? DropoutInPlace : Dropout).Call(input, p, training);

            public static Tensor avg_pool2d(
                Tensor input,
                long kernel_size,
                long? stride = null,
                long padding = 0,
                bool ceil_mode = false,
                bool count_include_pad = true,
                long? divisor_override = null)
            {
                var step = stride ?? kernel_size;
                return AvgPool2d.Call(
                    input,
                    new[] { kernel_size, kernel_size },
                    new[] { step, step },
                    new[] { padding, padding },
                    ceil_mode,
                    count_include_pad,
                    divisor_override);
            }

            public static Tensor avg_pool2d(
                Tensor input,
                long[] kernel_size,
                long[]? stride = null,
                long[]? padding = null,
                bool ceil_mode = false,
                bool count_include_pad = true,
                long? divisor_override = null)
                => AvgPool2d.Call(input, kernel_size, stride ?? kernel_size, padding ?? [0], ceil_mode, count_include_pad, divisor_override);

            public static Tensor mse_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean)
                => MseLoss.Call(input, target, (long)reduction);

            public static Tensor silu(Tensor x, bool inplace = false) => inplace ? x.silu_().alias() : x.silu();

            public static Tensor relu(Tensor x, bool inplace = false) => inplace ? x.relu_().alias() : x.relu();

            public static Tensor gelu(Tensor x) => Gelu.Call(x);

            public static Tensor sigmoid(Tensor x) => x.sigmoid();

            public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => input.softmax(dim, dtype);

            public static Tensor one_hot(Tensor x, long num_classes = -1) => OneHot.Call(x, num_classes);
        }
    }
}
