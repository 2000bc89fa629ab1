using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// Any loss, with noise that shifts whole channels as well: <c>eps + strength N(0, 1)</c>, one draw for each sample and channel, so that a
/// network learns to change the mean of an image (Guttenberg 2023, "Diffusion with Offset Noise").
/// </summary>
/// <remarks>The draw comes from <see cref="TrainingRandom.Current"/>, which a trainer sets to the generator of its step.</remarks>
/// <param name="inner">The loss.</param>
/// <param name="strength">The standard deviation of the shift, at least 0.</param>
public sealed class OffsetNoise(IDiffusionLoss inner, double strength = 0.1) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>The standard deviation of the shift.</summary>
    public double Strength { get; } = Guard.InRange(strength, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var noise = context.Noise;
        var shape = noise.shape;
        for (var i = 2; i < shape.Length; i++)
            shape[i] = 1;
        using var shift = LossRandom.Normal(shape, noise);
        shift.Mul_(Strength);
        using var shifted = noise.Add(shift);
        return _inner.Evaluate(context with { Noise = shifted });
    }
}

/// <summary>Draws that a loss makes beside the noise it is given.</summary>
internal static class LossRandom
{
    /// <summary>
    /// A draw from N(0, I) by the generator of the training step, in the type and on the device of a tensor; the caller's.
    /// </summary>
    public static Tensor Normal(long[] shape, Tensor like)
    {
        Guard.Floating(like);
        var generator = TrainingRandom.Current;
        var drawn = randn(shape, dtype: like.dtype, device: generator?.device ?? like.device, generator: generator);
        if (drawn.device_type == like.device_type && drawn.device_index == like.device_index)
            return drawn;
        using var elsewhere = drawn;
        return drawn.to(like.device);
    }
}
