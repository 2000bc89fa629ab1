using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// Any loss, with noise that shifts whole channels as well: <c>eps + strength N(0, 1)</c>, one draw for each sample and channel, so that a
/// network learns to change the mean of an image (Guttenberg 2023, "Diffusion with Offset Noise").
/// </summary>
/// <remarks>The draw comes from <see cref="DropoutRandom.Current"/>, which a trainer sets to the generator of its step.</remarks>
/// <param name="inner">The loss.</param>
/// <param name="strength">The standard deviation of the shift, at least 0.</param>
public sealed class OffsetNoise(IDiffusionLoss inner, double strength = 0.1) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>The standard deviation of the shift.</summary>
    public double Strength { get; } = Guard.InRange(strength, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(noise);
        var shape = noise.shape;
        for (var i = 2; i < shape.Length; i++)
            shape[i] = 1;
        using var shift = LossRandom.Normal(shape, noise);
        shift.Mul_(Strength);
        using var shifted = noise.Add(shift);
        return _inner.Evaluate(denoiser, process, x0, t, shifted, condition);
    }
}
