using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Computes gradients. Every error is an exception, where <see cref="autograd.grad"/> would end the process.</summary>
/// <remarks>
/// If a checkpointed block or another custom function of this library fails, its own exception is thrown in place of the error of libtorch
/// that results from it.
/// </remarks>
public static class Gradients
{
    /// <summary>Adds the gradients of a loss to the <c>grad</c> of each parameter that it depends on.</summary>
    /// <param name="loss">A scalar. Its graph is freed.</param>
    /// <exception cref="ExternalException">The loss has no graph, or libtorch cannot run the backward pass.</exception>
    public static void Backward(Tensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        Run(() => loss.backward());
    }

    /// <summary>The gradient of an output with respect to an input, or the product of a vector with the Jacobian.</summary>
    /// <param name="output">A tensor of any shape.</param>
    /// <param name="input">A tensor of any shape that requires gradients. Its <c>grad</c> is <see langword="null"/> afterwards.</param>
    /// <param name="vector">The shape of <paramref name="output"/>; <see langword="null"/> for the gradient of the sum of the output.</param>
    /// <param name="retainGraph">Whether the graph can be used again. The default is <see langword="false"/>: it is freed.</param>
    /// <returns>
    /// The shape of <paramref name="input"/>, without a graph; <see langword="null"/> if the output does not depend on the input. The caller
    /// must dispose the tensor.
    /// </returns>
    /// <exception cref="ExternalException">libtorch cannot run the backward pass.</exception>
    public static Tensor? OfInput(Tensor output, Tensor input, Tensor? vector = null, bool retainGraph = false)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(input);
        if (!output.requires_grad)
            return null;
        using var ones = vector is null ? ones_like(output) : null;
        input.grad = null;
        try
        {
            Run(() => autograd.backward([output], [vector ?? ones!], retain_graph: retainGraph, inputs: [input]));
            return input.grad;
        }
        finally
        {
            input.grad = null;
        }
    }

    /// <summary>The gradient of the sum of an output with respect to an input, with a graph from which its own gradients can be computed.</summary>
    /// <inheritdoc cref="OfInput" path="/exception"/>
    /// <param name="output">A tensor of any shape. Its graph is retained.</param>
    /// <param name="input">A tensor of any shape that requires gradients. Its <c>grad</c> is <see langword="null"/> afterwards.</param>
    /// <returns>
    /// The shape of <paramref name="input"/>; <see langword="null"/> if the output does not depend on the input. The caller must dispose the
    /// tensor.
    /// </returns>
    public static Tensor? DifferentiableOfInput(Tensor output, Tensor input)
    {
        // A first pass shows the errors that would end the process in the second, which is the only one that keeps no reference to itself.
        using var first = OfInput(output, input, retainGraph: true);
        if (first is null)
            return null;
        using var sum = output.sum();
        return autograd.grad([sum], [input], retain_graph: true, create_graph: true)[0];
    }

    private static void Run(Action backward)
    {
        var known = GradientCheckpointing.LastFailure;
        try
        {
            backward();
        }
        catch (ExternalException) when (GradientCheckpointing.LastFailure is { } cause && !ReferenceEquals(cause, known))
        {
            ExceptionDispatchInfo.Throw(cause);
        }
    }
}
