using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The gradients that the backward pass of a custom function handed to libtorch. They must outlive the return, libtorch takes references of
/// its own then. Each thread frees those of the last function when the next one runs, or when the dispose scope ends in which the backward
/// pass was called.
/// </summary>
internal static class ReturnedGradients
{
    [ThreadStatic]
    private static List<Tensor>? _last;

    /// <summary>Frees what the last function on this thread returned.</summary>
    public static void Free()
    {
        foreach (var gradient in _last ?? [])
            gradient.Dispose();
        _last = null;
    }

    /// <summary>Keeps gradients until the next function runs.</summary>
    public static List<Tensor?> Keep(Tensor?[] gradients)
    {
        // Functions within this one have returned gradients in the meantime.
        Free();
        _last = [.. gradients.OfType<Tensor>()];
        return [.. gradients];
    }

    /// <summary>
    /// The gradients by a chain of operators that computes the same as a custom function, for a caller that wants gradients of gradients.
    /// </summary>
    /// <param name="function">From the inputs to the output.</param>
    /// <param name="inputs">The saved inputs.</param>
    /// <param name="gradient">The gradient by the output.</param>
    /// <returns>One for each input; null for one that needs none.</returns>
    public static Tensor?[] Differentiable(Func<Tensor[], Tensor> function, Tensor[] inputs, Tensor gradient)
    {
        var needed = inputs.Where(input => input.requires_grad).ToArray();
        var gradients = new Queue<Tensor>(autograd.grad([function(inputs)], needed, [gradient], retain_graph: true, create_graph: true));
        return [.. inputs.Select(input => input.requires_grad ? gradients.Dequeue() : null)];
    }
}
