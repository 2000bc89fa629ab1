using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The attention of <see cref="AttentionKernel"/> as a differentiable function.</summary>
internal sealed class HostAttention : autograd.SingleTensorFunction<HostAttention>
{
    /// <summary>
    /// The maximum number of channels of a head for which the kernel is faster than that of libtorch (measured in docs/performance.md).
    /// </summary>
    private const long WidestHead = 16;

    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(HostAttention);

    /// <summary>Returns whether the kernel supports these tensors and is faster for them than the kernel of libtorch.</summary>
    public static bool Takes(Tensor query, Tensor key, Tensor value, long heads)
        => query.shape[2] / heads <= WidestHead
            && HostVector.Takes(query) && HostVector.Takes(key) && HostVector.Takes(value)
            && query.shape[0] * heads >= get_num_threads();

    /// <summary>Computes softmax(Q K^T / sqrt(d)) V in each head.</summary>
    /// <param name="query">[B, N, heads * d].</param>
    /// <param name="key">[B, M, heads * d].</param>
    /// <param name="value">[B, M, heads * d].</param>
    /// <param name="heads">The number of heads.</param>
    /// <returns>[B, N, heads * d]. The caller must dispose it.</returns>
    public static Tensor Run(Tensor query, Tensor key, Tensor value, long heads)
    {
        ReturnedGradients.Free();

        // TorchSharp creates a tensor of the size of the output for each node, for absent gradients. The scope frees it.
        using var scope = NewDisposeScope();
        var (q, k, v) = (query.contiguous(), key.contiguous(), value.contiguous());
        if (is_grad_enabled() && (query.requires_grad || key.requires_grad || value.requires_grad))
            return apply(q, k, v, new Call(heads, ReturnedGradients.OfThisThread)).MoveToOuterDisposeScope();
        var output = empty_like(q);
        AttentionKernel.Forward(SizesOf(q, k, heads), q, k, v, output, null);
        return output.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (query, key, value, call) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Call)vars[3]);
        var output = empty_like(query);
        var logSum = empty(query.shape[0], call.Heads, query.shape[1]);
        AttentionKernel.Forward(SizesOf(query, key, call.Heads), query, key, value, output, logSum);
        ctx.set_materialize_grads(false);
        ctx.save_data(CallKey, call);
        ctx.save_for_backward([query, key, value, output, logSum]);
        return output;
    }

    /// <inheritdoc/>
    public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (Call)ctx.get_data(CallKey)!;
        return ReturnedGradients.Compute(4, ..3, call.Failures, grad_output, gradients =>
        {
            var saved = ctx.get_saved_variables();
            var (query, key, value) = (saved[0], saved[1], saved[2]);
            if (is_grad_enabled())
            {
                ReturnedGradients.Differentiable(inputs => Plain(inputs[0], inputs[1], inputs[2], call.Heads), [query, key, value], grad_output)
                    .CopyTo(gradients, 0);
                return;
            }

            var (byQuery, byKey, byValue) = (empty_like(query), empty_like(key), empty_like(value));
            var upstream = grad_output.contiguous();
            AttentionKernel.Backward(
                SizesOf(query, key, call.Heads), query, key, value, saved[3], saved[4], upstream, byQuery, byKey, byValue);
            (gradients[0], gradients[1], gradients[2]) = (byQuery, byKey, byValue);
        });
    }

    /// <summary>Computes the same function with differentiable operators.</summary>
    private static Tensor Plain(Tensor query, Tensor key, Tensor value, long heads)
    {
        Tensor Split(Tensor x) => x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);
        var (q, k, v) = (Split(query), Split(key), Split(value));
        return q.matmul(k.transpose(2, 3)).Div(Math.Sqrt(q.shape[3])).softmax(-1).matmul(v).transpose(1, 2).flatten(2);
    }

    private static AttentionKernel.Sizes SizesOf(Tensor query, Tensor key, long heads)
        => new((int)query.shape[0], (int)query.shape[1], (int)key.shape[1], (int)heads, (int)(query.shape[2] / heads));

    private sealed record Call(long Heads, ReturnedGradients.Failures Failures);
}
