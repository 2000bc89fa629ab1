using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>
/// Any loss, of a network that receives a noisier x_t than its target belongs to: <c>x_t + strength sigma_t N(0, I)</c>. It prepares the
/// network for its own errors in sampling (Ning et al. 2023, "Input Perturbation Reduces Exposure Bias in Diffusion Models", algorithm 2).
/// </summary>
/// <remarks>The random numbers are drawn from <see cref="LossContext.Generator"/>.</remarks>
/// <param name="inner">The loss.</param>
/// <param name="strength">gamma of the paper, at least 0.</param>
public sealed class InputPerturbation(IDiffusionLoss inner, double strength = 0.1) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>The standard deviation of what is added, as a share of that of the noise.</summary>
    public double Strength { get; } = Guard.InRange(strength, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (network, scale) = (context.Model.Network, context.Model.Prediction.InputScale);

        // The network receives c_in x_t, and so what is added is scaled too.
        var sigmas = context.Model.Process.Tables(
            (this, context.Model.Prediction),
            schedule => new ScheduledValue(schedule, (level, _) => Strength * level.Sigma * (scale?.Invoke(level) ?? 1.0)));
        var perturbed = new DelegateDenoiser((input, timesteps, condition) =>
        {
            using var added = LossRandom.Normal(input.shape, input, context.Generator);
            using var sigma = sigmas.At(context.T, input);
            added.mul_(sigma);
            added.Add_(input);
            return network.Predict(added, timesteps, condition);
        });
        return _inner.Evaluate(context with { Model = context.Model.With(perturbed) });
    }
}
