using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>How badly a decoder's output explains the data, element by element: a distance, or -log p(x | z) in nats.</summary>
public interface IReconstructionLoss
{
    /// <summary>The field's name of the loss, such as <c>bernoulli</c>.</summary>
    string Name { get; }

    /// <summary>The loss of each element.</summary>
    /// <param name="output">What the decoder says: the shape of <paramref name="x"/> unless the loss says otherwise.</param>
    /// <param name="x">[B, ...] the data.</param>
    /// <returns>The shape of <paramref name="x"/>, with gradients; the caller's.</returns>
    /// <exception cref="ArgumentException">The output does not have the shape it should.</exception>
    Tensor Of(Tensor output, Tensor x);
}
