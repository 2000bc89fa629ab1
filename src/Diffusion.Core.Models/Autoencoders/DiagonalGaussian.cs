using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The output of the encoder of a variational autoencoder: q(z | x) = N(z; mean, diag(exp(logVariance))). The object owns its tensors.
/// </summary>
/// <remarks>
/// Source: Kingma and Welling 2014, section 2.4. The log variance is clamped to [-30, 20], as in the code of Rombach et al. 2022; outside
/// this range its gradient is zero.
/// </remarks>
public sealed class DiagonalGaussian : ILatentDistribution
{
    /// <summary>The minimum log variance.</summary>
    public const double MinLogVariance = -30.0;

    /// <summary>The maximum log variance.</summary>
    public const double MaxLogVariance = 20.0;

    /// <summary>Creates a Gaussian with a given mean and log variance.</summary>
    /// <param name="mean">[B, C, ...], floating point. The caller keeps ownership.</param>
    /// <param name="logVariance">A tensor with the shape, type and device of <paramref name="mean"/>. The caller keeps ownership.</param>
    /// <exception cref="ArgumentException">The shapes, types or devices differ, or are not supported.</exception>
    public DiagonalGaussian(Tensor mean, Tensor logVariance)
    {
        Guard.SameShape(mean, logVariance);
        Guard.SameType(mean, logVariance);
        Guard.Floating(mean);
        if (mean.dim() < 1)
            throw new ArgumentException("mean must have shape [B, ...], got [].", nameof(mean));
        Mean = mean.alias();
        LogVariance = logVariance.Clamp(MinLogVariance, MaxLogVariance);
    }

    /// <summary>[B, C, ...] the mean.</summary>
    public Tensor Mean { get; }

    /// <summary>[B, C, ...] the log variance, clamped to [-30, 20].</summary>
    public Tensor LogVariance { get; }

    /// <inheritdoc/>
    public Tensor Mode => Mean;

    /// <summary>
    /// Creates a Gaussian from one tensor, whose first half of the channels is the mean and second half the log variance.
    /// </summary>
    /// <param name="moments">[B, 2C, ...]. The caller keeps ownership.</param>
    /// <exception cref="ArgumentException">The number of channels is odd, or there are fewer than two dimensions.</exception>
    public static DiagonalGaussian FromMoments(Tensor moments)
    {
        ArgumentNullException.ThrowIfNull(moments);
        if (moments.dim() < 2 || moments.shape[1] % 2 != 0)
            throw new ArgumentException(
                $"moments must have shape [B, 2C, ...] with an even number of channels, got {Guard.Format(moments.shape)}.",
                nameof(moments));
        var channels = moments.shape[1] / 2;
        using var mean = moments.narrow(1, 0, channels);
        using var logVariance = moments.narrow(1, channels, channels);
        return new DiagonalGaussian(mean, logVariance);
    }

    /// <inheritdoc/>
    public Tensor Sample(Generator? generator = null)
    {
        // The noise is drawn in at least float32, so that it does not depend on the precision of the network.
        var dtype = Mean.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        using var drawn = randn(Mean.shape, dtype: dtype, device: generator?.device ?? Mean.device, generator: generator);
        GC.KeepAlive(generator);
        using var noise = drawn.to(Mean.dtype, Mean.device);
        return Sample(noise);
    }

    /// <summary>Maps standard normal noise to a latent: <c>mean + exp(logVariance / 2) noise</c>.</summary>
    /// <inheritdoc/>
    /// <remarks>Source: Kingma and Welling 2014, eq. 10.</remarks>
    public Tensor Sample(Tensor noise)
    {
        Guard.SameShape(Mean, noise);
        Guard.SameType(Mean, noise);
        using var half = LogVariance.Mul(0.5);
        using var std = half.exp();
        using var moved = std.mul(noise);
        return Mean.Add(moved);
    }

    /// <summary>Computes KL(q || N(0, I)) of each sample, in nats, summed over all dimensions of the code.</summary>
    /// <returns>[B], with gradients. The caller must dispose the tensor.</returns>
    /// <remarks>Source: Kingma and Welling 2014, appendix B.</remarks>
    public Tensor Kl()
    {
        using var scope = NewDisposeScope();
        return PerSample(LogVariance.exp().sub(LogVariance).Sub(1.0).Add(Mean.Square())).MoveToOuterDisposeScope();
    }

    /// <summary>Computes KL(q || other) of each sample, in nats, summed over all dimensions of the code.</summary>
    /// <param name="other">A Gaussian of the same shape.</param>
    /// <returns>[B], with gradients. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public Tensor Kl(DiagonalGaussian other)
    {
        ArgumentNullException.ThrowIfNull(other);
        Guard.SameShape(Mean, other.Mean, nameof(Mean), nameof(other));
        using var scope = NewDisposeScope();
        var ratio = LogVariance.sub(other.LogVariance);
        var shift = Mean.sub(other.Mean).Square().mul(other.LogVariance.neg().exp());
        return PerSample(ratio.exp().sub(ratio).Sub(1.0).Add(shift)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        LogVariance.Dispose();
    }

    private static Tensor PerSample(Tensor twice) => twice.Mul(0.5).reshape(twice.shape[0], -1).sum(1L);
}

/// <summary>A distribution with a single point for each sample: the output of a deterministic encoder.</summary>
public sealed class LatentPoint : ILatentDistribution
{
    /// <summary>Creates a point distribution.</summary>
    /// <param name="latent">[B, C, ...]. The caller keeps ownership.</param>
    public LatentPoint(Tensor latent)
    {
        ArgumentNullException.ThrowIfNull(latent);
        Mode = latent.alias();
    }

    /// <inheritdoc/>
    public Tensor Mode { get; }

    /// <summary>Returns the point. The generator is not used.</summary>
    /// <inheritdoc/>
    public Tensor Sample(Generator? generator = null) => Mode.alias();

    /// <summary>Returns the point. The noise is not used, except for a check of its shape.</summary>
    /// <inheritdoc/>
    public Tensor Sample(Tensor noise)
    {
        Guard.SameShape(Mode, noise);
        return Mode.alias();
    }

    /// <inheritdoc/>
    public void Dispose() => Mode.Dispose();
}
