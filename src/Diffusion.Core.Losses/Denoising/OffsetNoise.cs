using System.Globalization;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A loss that is computed with noise that also shifts whole channels: <c>eps + strength N(0, 1)</c>, with one shift for each sample
/// and channel. A network that is trained with this noise learns to change the mean of an image (Guttenberg 2023, "Diffusion with
/// Offset Noise").
/// </summary>
/// <remarks>The random numbers are drawn from <see cref="LossContext.Generator"/>.</remarks>
/// <param name="inner">The loss to compute.</param>
/// <param name="strength">The standard deviation of the shift, at least 0. The default is 0.1.</param>
public sealed class OffsetNoise(IDiffusionLoss inner, double strength = 0.1) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>The standard deviation of the shift.</summary>
    public double Strength { get; } = Guard.Factor(strength);

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{nameof(OffsetNoise)}({_inner}, {Strength})");

    /// <inheritdoc/>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var noise = context.Noise;
        var shape = noise.shape;
        for (var i = 2; i < shape.Length; i++)
            shape[i] = 1;
        using var shift = LossRandom.Normal(shape, noise, context.Generator);
        shift.Mul_(Strength);
        using var shifted = noise.Add(shift);
        return _inner.Evaluate(context with { Noise = shifted });
    }
}

/// <summary>Random numbers that a loss draws in addition to the noise of its context.</summary>
internal static class LossRandom
{
    /// <summary>Draws random numbers from N(0, I), with the type and on the device of a tensor.</summary>
    /// <param name="shape">The shape of the result.</param>
    /// <param name="like">A tensor with the type and the device of the result.</param>
    /// <param name="generator">The generator, on any device; <see langword="null"/> for the default generator.</param>
    /// <returns>The random numbers. The caller must dispose the returned tensor.</returns>
    public static Tensor Normal(long[] shape, Tensor like, Generator? generator)
    {
        Guard.Floating(like);
        var drawn = randn(shape, dtype: like.dtype, device: generator?.device ?? like.device, generator: generator);
        if (drawn.device_type == like.device_type && drawn.device_index == like.device_index)
            return drawn;
        using var elsewhere = drawn;
        return drawn.to(like.device);
    }
}
