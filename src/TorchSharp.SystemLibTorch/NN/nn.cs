using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static Linear Linear(
            long inputSize, long outputSize, bool hasBias = true, Device? device = null, ScalarType? dtype = null)
            => new(inputSize, outputSize, hasBias, device, dtype);

        public static Conv1d Conv1d(
            long in_channels,
            long out_channels,
            long kernel_size,
            long stride = 1,
            long padding = 0,
            long dilation = 1,
            PaddingModes padding_mode = PaddingModes.Zeros,
            long groups = 1,
            bool bias = true,
            Device? device = null,
            ScalarType? dtype = null)
        {
            if (padding_mode != PaddingModes.Zeros)
                throw new NotSupportedException($"The system provider pads convolutions with zeros only, not with {padding_mode}.");
            return new Conv1d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype);
        }

        public static Conv2d Conv2d(
            long in_channels,
            long out_channels,
            long kernel_size,
            long stride = 1,
            long padding = 0,
            long dilation = 1,
            PaddingModes padding_mode = PaddingModes.Zeros,
            long groups = 1,
            bool bias = true,
            Device? device = null,
            ScalarType? dtype = null)
        {
            if (padding_mode != PaddingModes.Zeros)
                throw new NotSupportedException($"The system provider pads convolutions with zeros only, not with {padding_mode}.");
            return new Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype);
        }

        public static Conv3d Conv3d(
            long in_channels,
            long out_channels,
            long kernel_size,
            long stride = 1,
            long padding = 0,
            long dilation = 1,
            PaddingModes padding_mode = PaddingModes.Zeros,
            long groups = 1,
            bool bias = true,
            Device? device = null,
            ScalarType? dtype = null)
        {
            if (padding_mode != PaddingModes.Zeros)
                throw new NotSupportedException($"The system provider pads convolutions with zeros only, not with {padding_mode}.");
            return new Conv3d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype);
        }

        public static GroupNorm GroupNorm(
            long num_groups, long num_channels, double eps = 1e-05, bool affine = true, Device? device = null, ScalarType? dtype = null)
            => new(num_groups, num_channels, eps, affine, device, dtype);

        public static LayerNorm LayerNorm(
            long[] normalized_shape,
            double eps = 1e-05,
            bool elementwise_affine = true,
            bool bias = true,
            Device? device = null,
            ScalarType? dtype = null)
            => new(normalized_shape, eps, elementwise_affine, bias, device, dtype);

        public static LayerNorm LayerNorm(
            long normalized_shape,
            double eps = 1e-05,
            bool elementwise_affine = true,
            bool bias = true,
            Device? device = null,
            ScalarType? dtype = null)
            => LayerNorm([normalized_shape], eps, elementwise_affine, bias, device, dtype);

        public static Embedding Embedding(
            long num_embeddings,
            long embedding_dims,
            long? padding_idx = null,
            double? max_norm = null,
            double norm_type = 2.0,
            bool scale_grad_by_freq = false,
            bool sparse = false,
            Device? device = null,
            ScalarType? dtype = null)
        {
            if (max_norm is not null || scale_grad_by_freq || sparse)
                throw new NotSupportedException("The system provider has plain embeddings only: no max_norm, scale_grad_by_freq or sparse.");
            return new Embedding(num_embeddings, embedding_dims, padding_idx, device, dtype);
        }

        public static SiLU SiLU() => new();

        public static GELU GELU() => new(false);

        public static ReLU ReLU(bool inplace = false) => new(inplace);

        public static Dropout Dropout(double p = 0.5, bool inplace = false) => new(p, inplace);

        public static ModuleList<T> ModuleList<T>(params T[] modules)
            where T : Module
            => new(modules);

        public static Sequential Sequential(params Module<Tensor, Tensor>[] modules)
        {
            var sequential = new Sequential();
            foreach (var module in modules)
                sequential.append(module);
            return sequential;
        }

        public static Sequential Sequential(params (string name, Module<Tensor, Tensor> submodule)[] modules)
        {
            var sequential = new Sequential();
            foreach (var (name, module) in modules)
                sequential.append(name, module);
            return sequential;
        }
    }
}
