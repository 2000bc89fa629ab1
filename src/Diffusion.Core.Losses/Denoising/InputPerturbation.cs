using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// Any loss, of a network that is shown a noisier x_t than its target belongs to: <c>x_t + strength sigma_t N(0, I)</c>. It prepares the
/// network for its own errors in sampling (Ning et al. 2023, "Input Perturbation Reduces Exposure Bias in Diffusion Models", algorithm 2).
/// </summary>
/// <remarks>The draw comes from <see cref="DropoutRandom.Current"/>, which a trainer sets to the generator of its step.</remarks>
/// <param name="inner">The loss.</param>
/// <param name="strength">gamma of the paper, at least 0.</param>
/// <param name="prediction">What the network predicts; needed where that scales x_t for the network.</param>
public sealed class InputPerturbation(IDiffusionLoss inner, double strength = 0.1, IPrediction? prediction = null) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));
    private readonly Func<NoiseLevel, double>? _scale = prediction?.InputScale;

    /// <summary>The standard deviation of what is added, as a share of that of the noise.</summary>
    public double Strength { get; } = Guard.InRange(strength, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(process);
        var sigmas = process.Tables(this, schedule => new ScheduledValue(schedule, (level, _) => Deviation(level)));
        var perturbed = new DelegateDenoiser((xt, toldTime, told) =>
        {
            using var added = LossRandom.Normal(xt.shape, xt);
            using var sigma = sigmas.At(t, xt);
            added.mul_(sigma);
            added.Add_(xt);
            return denoiser.Predict(added, toldTime, told);
        });
        return _inner.Evaluate(perturbed, process, x0, t, noise, condition);
    }

    private double Deviation(NoiseLevel level) => Strength * level.Sigma * (_scale?.Invoke(level) ?? 1.0);
}
