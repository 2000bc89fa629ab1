using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>
/// A loss that is computed with additional noise in the input of the network, <c>x_t + strength sigma_t N(0, I)</c>, while the target
/// is unchanged. The network then also learns to correct the errors that it makes during sampling (Ning et al. 2023, "Input
/// Perturbation Reduces Exposure Bias in Diffusion Models", algorithm 2).
/// </summary>
/// <remarks>The random numbers are drawn from <see cref="LossContext.Generator"/>.</remarks>
/// <param name="inner">The loss to compute.</param>
/// <param name="strength">gamma of the paper, at least 0. The default is 0.1.</param>
public sealed class InputPerturbation(IDiffusionLoss inner, double strength = 0.1) : IDiffusionLoss
{
    private readonly IDiffusionLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>The standard deviation of the additional noise, relative to that of the noise in x_t.</summary>
    public double Strength { get; } = Guard.Factor(strength);

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{nameof(InputPerturbation)}({_inner}, {Strength})");

    /// <inheritdoc/>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (network, scale) = (context.Model.Network, context.Model.Prediction.InputScale);

        // The network receives c_in x_t, so that the additional noise must be scaled by c_in as well.
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
