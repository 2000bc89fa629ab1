using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>p(x_{t-1} | x_t), a Gaussian for each sample of a batch, and the x_0 it was made from. Owns its tensors.</summary>
/// <param name="mean">Taken over.</param>
/// <param name="variance">Taken over.</param>
/// <param name="logVariance">Taken over.</param>
/// <param name="data">Taken over.</param>
public sealed class ReverseDistribution(Tensor mean, Tensor variance, Tensor logVariance, Tensor data) : IDisposable
{
    /// <summary>[B, ...] the mean.</summary>
    public Tensor Mean { get; } = mean;

    /// <summary>The variance: [B, 1, ...] where it is fixed, so that it broadcasts, or [B, ...] where it is learned.</summary>
    public Tensor Variance { get; } = variance;

    /// <summary>The log variance, shaped as <see cref="Variance"/>; finite everywhere.</summary>
    public Tensor LogVariance { get; } = logVariance;

    /// <summary>[B, ...] the predicted x_0, after clipping.</summary>
    public Tensor Data { get; } = data;

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        Variance.Dispose();
        LogVariance.Dispose();
        Data.Dispose();
    }
}
