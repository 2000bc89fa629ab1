using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Computes gradients. Errors are thrown as exceptions, whereas they end the process in <see cref="autograd.grad"/>.
/// </summary>
/// <remarks>
/// If a checkpointed block or another custom function of this library throws an exception, this exception is thrown instead of the error of
/// libtorch that it causes.
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

    /// <summary>Computes the gradient of an output with respect to an input, or the product of a vector with the Jacobian.</summary>
    /// <param name="output">A tensor of any shape.</param>
    /// <param name="input">A tensor of any shape that requires gradients. Its <c>grad</c> is <see langword="null"/> afterwards.</param>
    /// <param name="vector">
    /// The vector, with the shape of <paramref name="output"/>. The default is <see langword="null"/>: the gradient of the sum of the
    /// output.
    /// </param>
    /// <param name="retainGraph">Whether the graph can be used again. The default is <see langword="false"/>: it is freed.</param>
    /// <returns>
    /// A tensor with the shape of <paramref name="input"/>, without a graph, or <see langword="null"/> if the output does not depend on the
    /// input. The caller must dispose the tensor.
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

    /// <summary>
    /// Computes the gradient of the sum of an output with respect to an input. The gradient has a graph, so that it can be differentiated.
    /// </summary>
    /// <inheritdoc cref="OfInput" path="/exception"/>
    /// <param name="output">A tensor of any shape. Its graph is retained.</param>
    /// <param name="input">A tensor of any shape that requires gradients. Its <c>grad</c> is <see langword="null"/> afterwards.</param>
    /// <returns>
    /// A tensor with the shape of <paramref name="input"/>, or <see langword="null"/> if the output does not depend on the input. The
    /// caller must dispose the tensor.
    /// </returns>
    public static Tensor? DifferentiableOfInput(Tensor output, Tensor input)
    {
        // The first pass throws exceptions for errors that would end the process in autograd.grad. The second pass uses autograd.grad
        // because backward with a graph would create a reference cycle between the input and its gradient.
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
