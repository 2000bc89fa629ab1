using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The common parts of the backward passes of custom functions: the lifetime of their gradients, and the handling of exceptions.
/// </summary>
/// <remarks>
/// <para>Gradients that are returned to libtorch must not be disposed before the function has returned; after that, libtorch has other
/// references to them. Each thread frees the gradients of its last function when the next function runs, or when the dispose scope ends in
/// which the backward pass was called.</para>
/// <para>An exception must not reach the native frames above a function, because it would end the process. Instead, the function returns a
/// gradient of an invalid shape, for which libtorch ends the backward pass with an error.</para>
/// </remarks>
internal static class ReturnedGradients
{
    [ThreadStatic]
    private static List<Tensor>? _last;

    // The object belongs to the thread of the forward pass. The thread on which libtorch runs the backward pass writes to it.
    [ThreadStatic]
    private static Failures? _failures;

    /// <summary>The failures of functions whose forward pass runs on this thread.</summary>
    public static Failures OfThisThread => _failures ??= new Failures();

    /// <summary>Frees the gradients that the last function on this thread returned.</summary>
    public static void Free()
    {
        foreach (var gradient in _last ?? [])
            gradient.Dispose();
        _last = null;
    }

    /// <summary>Runs a backward pass.</summary>
    /// <param name="count">The number of gradients.</param>
    /// <param name="inputs">
    /// A range of inputs that are tensors of at least one dimension. At least one of them must require a gradient.
    /// </param>
    /// <param name="failures">Receives the exception if the pass fails.</param>
    /// <param name="upstream">The gradient with respect to the output. It is disposed.</param>
    /// <param name="compute">Writes the gradients. Other tensors that it creates are freed.</param>
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
#pragma warning disable CA1031 // No exception of any type may reach the native frames above.
        catch (Exception e)
#pragma warning restore CA1031
        {
            failures.Last = e;
            Array.Clear(gradients);

            // A gradient with fewer dimensions than its input is invalid for every input.
            foreach (ref var gradient in gradients.AsSpan(inputs))
                gradient = zeros([]).DetachFromDisposeScope();
        }

        upstream.Dispose();

        // Nested functions may have returned gradients in the meantime.
        Free();
        _last = [.. gradients.OfType<Tensor>()];
        return [.. gradients];
    }

    /// <summary>
    /// Computes the gradients with differentiable operators that are equivalent to a custom function, for second-order gradients.
    /// </summary>
    /// <param name="function">Maps the inputs to the output.</param>
    /// <param name="inputs">The saved inputs.</param>
    /// <param name="gradient">The gradient with respect to the output.</param>
    /// <returns>One gradient for each input; <see langword="null"/> for inputs that do not require or receive one.</returns>
    public static Tensor?[] Differentiable<TInput>(Func<TInput[], Tensor> function, TInput[] inputs, Tensor gradient)
        where TInput : Tensor?
    {
        var output = function(inputs);
        var needed = inputs.OfType<Tensor>().Where(input => input.requires_grad).ToArray();
        if (needed.Length == 0 || !output.requires_grad)
            return new Tensor?[inputs.Length];
        var gradients = new Queue<Tensor>(
            autograd.grad([output], needed, [gradient], retain_graph: true, create_graph: true, allow_unused: true));
        return [.. inputs.Select(input => input is { requires_grad: true } && gradients.Dequeue() is { IsInvalid: false } used ? used : null)];
    }

    /// <summary>The failures of the functions of one thread.</summary>
    public sealed class Failures
    {
        private volatile Exception? _last;

        /// <summary>The last exception; <see langword="null"/> if there was none.</summary>
        public Exception? Last
        {
            get => _last;
            set => _last = value;
        }
    }
}
