using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What the backward passes of custom functions have in common: who frees their gradients, and where their errors go.</summary>
/// <remarks>
/// <para>Gradients that were handed to libtorch must outlive the return; libtorch takes references of its own then. Each thread frees those
/// of its last function when the next one runs, or when the dispose scope ends in which the backward pass was called.</para>
/// <para>An exception must not reach the native frames above a function, which would end the process. In its place the function returns a
/// gradient that does not fit, for which libtorch ends the backward pass with an error.</para>
/// </remarks>
internal static class ReturnedGradients
{
    [ThreadStatic]
    private static List<Tensor>? _last;

    // Belongs to the thread of the forward pass, and is written to by whichever thread libtorch goes back on.
    [ThreadStatic]
    private static Failures? _failures;

    /// <summary>The failures of functions that this thread runs forward.</summary>
    public static Failures OfThisThread => _failures ??= new Failures();

    /// <summary>Frees what the last function on this thread returned.</summary>
    public static void Free()
    {
        foreach (var gradient in _last ?? [])
            gradient.Dispose();
        _last = null;
    }

    /// <summary>Runs a backward pass.</summary>
    /// <param name="count">The number of gradients.</param>
    /// <param name="inputs">Which inputs are tensors of at least one dimension: one of them requires a gradient.</param>
    /// <param name="failures">Receives an exception.</param>
    /// <param name="upstream">The gradient by the output, which is disposed.</param>
    /// <param name="compute">Writes the gradients. What it creates otherwise is freed.</param>
    public static List<Tensor?> Compute(int count, Range inputs, Failures failures, Tensor upstream, Action<Tensor?[]> compute)
    {
        Free();
        var gradients = new Tensor?[count];
        try
        {
            using var scope = NewDisposeScope();
            if (!upstream.IsInvalid)
                compute(gradients);
            foreach (var gradient in gradients)
                gradient?.MoveToOuterDisposeScope();
        }
#pragma warning disable CA1031 // Whatever it is, it must not reach the native frames above.
        catch (Exception e)
#pragma warning restore CA1031
        {
            failures.Last = e;
            Array.Clear(gradients);

            // A gradient of fewer dimensions than its input fits none.
            foreach (ref var gradient in gradients.AsSpan(inputs))
                gradient = zeros([]).DetachFromDisposeScope();
        }

        upstream.Dispose();

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

    /// <summary>What went wrong in the functions of one thread.</summary>
    public sealed class Failures
    {
        private volatile Exception? _last;

        /// <summary>The last exception; null when there was none.</summary>
        public Exception? Last
        {
            get => _last;
            set => _last = value;
        }
    }
}
