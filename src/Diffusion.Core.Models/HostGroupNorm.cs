using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A group norm by <see cref="GroupNormKernel"/>, as a function that gradients pass through.</summary>
internal sealed class HostGroupNorm : autograd.SingleTensorFunction<HostGroupNorm>
{
    private const string OptionsKey = "options";

    /// <inheritdoc/>
    public override string Name => nameof(HostGroupNorm);

    /// <summary>Whether the kernel takes these images: float32 on the CPU, with channels last.</summary>
    public static bool Takes(Tensor x, Tensor weight)
    {
        if (x.dim() != 4 || !IsFast(x) || weight.dtype != ScalarType.Float32)
            return false;
        var (shape, strides) = (x.shape, x.stride());
        var (channels, width) = (shape[1], shape[3]);
        bool Lies(int dimension, long stride) => shape[dimension] == 1 || strides[dimension] == stride;
        return channels % GroupNormKernel.Strip == 0
            && x.numel() is > 0 and < int.MaxValue / sizeof(float)
            && Lies(1, 1) && Lies(3, channels) && Lies(2, width * channels) && Lies(0, shape[2] * width * channels);
    }

    /// <summary>Whether the kernel takes images of this type, on this device and processor, when their channels lie last.</summary>
    public static bool IsFast(Tensor x)
        => x.device_type == DeviceType.CPU && x.dtype == ScalarType.Float32 && Vector.IsHardwareAccelerated;

    /// <summary>The normed, scaled, shifted and, if wanted, activated images.</summary>
    /// <param name="x">[B, C, H, W] with channels last.</param>
    /// <param name="groups">Divides C.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="activates">Whether SiLU follows.</param>
    /// <returns>[B, C, H, W] with channels last. The caller must dispose it.</returns>
    public static Tensor Run(Tensor x, long groups, Tensor weight, Tensor bias, double epsilon, bool activates)
    {
        ReturnedGradients.Free();
        var options = new Options(groups, epsilon, activates);

        // TorchSharp creates a tensor of the size of the output for each node, which the scope frees: it is for absent gradients.
        using var scope = NewDisposeScope();
        return is_grad_enabled() && (x.requires_grad || weight.requires_grad || bias.requires_grad)
            ? apply(x, weight, bias, options).MoveToOuterDisposeScope()
            : Compute(x, weight, bias, options).Output.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, weight, bias, options) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Options)vars[3]);
        var (output, moments) = Compute(x, weight, bias, options);
        ctx.set_materialize_grads(false);
        ctx.save_data(OptionsKey, options);
        ctx.save_for_backward([x, weight, bias, moments]);
        return output;
    }

    /// <inheritdoc/>
    public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        ReturnedGradients.Free();
        using var scope = NewDisposeScope();
        var gradients = new Tensor?[4];
        if (grad_output.IsInvalid)
            return ReturnedGradients.Keep(gradients);
        var options = (Options)ctx.get_data(OptionsKey)!;
        var saved = ctx.get_saved_variables();
        var (x, weight, bias, moments) = (saved[0], saved[1], saved[2], saved[3]);
        if (is_grad_enabled())
        {
            ReturnedGradients.Differentiable(inputs => Plain(inputs[0], inputs[1], inputs[2], options), [x, weight, bias], grad_output).CopyTo(gradients, 0);
        }
        else
        {
            var pixels = Pixels(x);
            var target = empty_like(pixels);
            var sizes = SizesOf(x, options);
            var (byWeight, byBias) = (empty(sizes.Batch, sizes.Channels), empty(sizes.Batch, sizes.Channels));
            GroupNormKernel.Backward(sizes, pixels, weight, bias, moments, Pixels(grad_output).contiguous(), target, byWeight, byBias);
            (gradients[0], gradients[1], gradients[2]) = (target.permute(0, 3, 1, 2), byWeight.sum(dim: 0), byBias.sum(dim: 0));
        }

        foreach (var gradient in gradients)
            gradient?.MoveToOuterDisposeScope();
        grad_output.Dispose();
        return ReturnedGradients.Keep(gradients);
    }

    /// <summary>The same by operators.</summary>
    private static Tensor Plain(Tensor x, Tensor weight, Tensor bias, Options options)
    {
        var normed = nn.functional.group_norm(x, options.Groups, weight, bias, options.Epsilon);
        if (!options.Activates)
            return normed;
        using (normed)
            return nn.functional.silu(normed);
    }

    private static (Tensor Output, Tensor Moments) Compute(Tensor x, Tensor weight, Tensor bias, Options options)
    {
        var pixels = Pixels(x);
        var output = empty_like(pixels);
        var moments = empty(x.shape[0], options.Groups, 2);
        GroupNormKernel.Forward(SizesOf(x, options), pixels, weight, bias, output, moments);
        return (output.permute(0, 3, 1, 2), moments);
    }

    private static Tensor Pixels(Tensor x) => x.permute(0, 2, 3, 1);

    private static GroupNormKernel.Sizes SizesOf(Tensor x, Options options)
        => new((int)x.shape[0], (int)(x.shape[2] * x.shape[3]), (int)x.shape[1], (int)options.Groups, (float)options.Epsilon, options.Activates);

    /// <summary>What the norm is besides its tensors.</summary>
    public sealed record Options(long Groups, double Epsilon, bool Activates);
}
