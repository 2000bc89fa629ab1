using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>A variational bound on -log2 p(x_0) / D, term by term. All float64 on the CPU; owns its tensors.</summary>
/// <param name="total">Taken over.</param>
/// <param name="prior">Taken over.</param>
/// <param name="terms">Taken over.</param>
/// <param name="dataError">Taken over.</param>
/// <param name="noiseError">Taken over.</param>
public sealed class VariationalBits(Tensor total, Tensor prior, Tensor terms, Tensor dataError, Tensor noiseError) : IDisposable
{
    /// <summary>[B] bits/dim: the sum of the terms and the prior.</summary>
    public Tensor Total { get; } = total;

    /// <summary>[B] L_T, bits/dim.</summary>
    public Tensor Prior { get; } = prior;

    /// <summary>[B, T] L_t at index t, bits/dim.</summary>
    public Tensor Terms { get; } = terms;

    /// <summary>[B, T] the mean squared error of the predicted x_0, after clipping.</summary>
    public Tensor DataError { get; } = dataError;

    /// <summary>[B, T] the mean squared error of the eps that goes with that x_0.</summary>
    public Tensor NoiseError { get; } = noiseError;

    /// <inheritdoc/>
    public void Dispose()
    {
        Total.Dispose();
        Prior.Dispose();
        Terms.Dispose();
        DataError.Dispose();
        NoiseError.Dispose();
    }
}
