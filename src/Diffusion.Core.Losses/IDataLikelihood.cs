using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>p(x_0 | x_1): how likely the last step of the reverse process makes the data.</summary>
public interface IDataLikelihood
{
    /// <summary>The field's name of the likelihood, such as <c>discretised-gaussian</c>.</summary>
    string Name { get; }

    /// <summary>log p(x_0 | x_1) of each element, in nats.</summary>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="mean">The shape of <paramref name="x0"/>: the mean of the reverse step.</param>
    /// <param name="logVariance">Its log variance; broadcasts to that shape.</param>
    /// <returns>The shape of <paramref name="x0"/>, finite and with gradients; the caller's.</returns>
    Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance);
}
