using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The group norm of <see cref="GroupNormKernel"/> as a differentiable function.</summary>
internal sealed class HostGroupNorm : autograd.SingleTensorFunction<HostGroupNorm>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(HostGroupNorm);

    /// <summary>Returns whether the kernel supports these images: float32 on the CPU, with channels last.</summary>
    public static bool Takes(Tensor x, Tensor weight)
    {
        if (x.dim() != 4 || !HostVector.Takes(x) || weight.dtype != ScalarType.Float32)
            return false;
        var (shape, strides) = (x.shape, x.stride());
        var (channels, width) = (shape[1], shape[3]);
        bool Lies(int dimension, long stride) => shape[dimension] == 1 || strides[dimension] == stride;
        return channels % GroupNormKernel.Strip == 0
            && Lies(1, 1) && Lies(3, channels) && Lies(2, width * channels) && Lies(0, shape[2] * width * channels);
    }

    /// <summary>Computes the normalized, scaled, shifted and, if <paramref name="activates"/> is true, activated images.</summary>
    /// <param name="x">[B, C, H, W] with channels last.</param>
    /// <param name="groups">The number of groups, which must divide C.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">The value added to the variance.</param>
    /// <param name="activates">Whether SiLU is applied to the result.</param>
    /// <returns>[B, C, H, W] with channels last. The caller must dispose it.</returns>
    public static Tensor Run(Tensor x, long groups, Tensor weight, Tensor bias, double epsilon, bool activates)
    {
        ReturnedGradients.Free();
        var call = new Call(groups, epsilon, activates, ReturnedGradients.OfThisThread);

        // TorchSharp creates a tensor of the size of the output for each node, for absent gradients. The scope frees it.
        using var scope = NewDisposeScope();
        return is_grad_enabled() && (x.requires_grad || weight.requires_grad || bias.requires_grad)
            ? apply(x, weight, bias, call).MoveToOuterDisposeScope()
            : Compute(x, weight, bias, call).Output.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, weight, bias, call) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Call)vars[3]);
        var (output, moments) = Compute(x, weight, bias, call);
        ctx.set_materialize_grads(false);
        ctx.save_data(CallKey, call);
        ctx.save_for_backward([x, weight, bias, moments]);
        return output;
    }

    /// <inheritdoc/>
    public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (Call)ctx.get_data(CallKey)!;
        return ReturnedGradients.Compute(4, ..3, call.Failures, grad_output, gradients =>
        {
            var saved = ctx.get_saved_variables();
            var (x, weight, bias, moments) = (saved[0], saved[1], saved[2], saved[3]);
            if (is_grad_enabled())
            {
                ReturnedGradients.Differentiable(inputs => Plain(inputs[0], inputs[1], inputs[2], call), [x, weight, bias], grad_output)
                    .CopyTo(gradients, 0);
                return;
            }

            var sizes = SizesOf(x, call);
            var pixels = Pixels(x);
            var byInput = empty_like(pixels);
            var (byWeight, byBias) = (empty(sizes.Batch, sizes.Channels), empty(sizes.Batch, sizes.Channels));
            GroupNormKernel.Backward(sizes, pixels, weight, bias, moments, Pixels(grad_output).contiguous(), byInput, byWeight, byBias);
            (gradients[0], gradients[1], gradients[2]) = (byInput.permute(0, 3, 1, 2), byWeight.sum(dim: 0), byBias.sum(dim: 0));
        });
    }

    /// <summary>Computes the same function with differentiable operators.</summary>
    private static Tensor Plain(Tensor x, Tensor weight, Tensor bias, Call call)
    {
        var normed = nn.functional.group_norm(x, call.Groups, weight, bias, call.Epsilon);
        if (!call.Activates)
            return normed;
        using (normed)
            return nn.functional.silu(normed);
    }

    private static (Tensor Output, Tensor Moments) Compute(Tensor x, Tensor weight, Tensor bias, Call call)
    {
        var pixels = Pixels(x);
        var output = empty_like(pixels);
        var moments = empty(x.shape[0], call.Groups, 2);
        GroupNormKernel.Forward(SizesOf(x, call), pixels, weight, bias, output, moments);
        return (output.permute(0, 3, 1, 2), moments);
    }

    private static Tensor Pixels(Tensor x) => x.permute(0, 2, 3, 1);

    private static GroupNormKernel.Sizes SizesOf(Tensor x, Call call)
        => new((int)x.shape[0], (int)(x.shape[2] * x.shape[3]), (int)x.shape[1], (int)call.Groups, (float)call.Epsilon, call.Activates);

    private sealed record Call(long Groups, double Epsilon, bool Activates, ReturnedGradients.Failures Failures);
}
