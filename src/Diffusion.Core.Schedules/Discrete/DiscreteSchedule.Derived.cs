namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>
    /// Returns this schedule with sqrt(abar) shifted and scaled so that the last value is exactly 0 and the first is unchanged. The
    /// noise level of the last step is then the one from which sampling starts, N(0, I). A prediction of eps does not determine the
    /// data at that step; use <see cref="Prediction.Velocity"/> instead.
    /// </summary>
    /// <remarks>Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps Are Flawed", Algorithm 1.</remarks>
    /// <exception cref="InvalidOperationException">The schedule has only one step.</exception>
    public DiscreteSchedule RescaledToZeroTerminalSnr()
    {
        if (Steps == 1)
            throw new InvalidOperationException("A schedule must have at least 2 steps to be rescaled to zero terminal SNR, got 1 step.");
        var (first, last) = (_levels[0].Alpha, _levels[^1].Alpha);
        var betas = new double[Steps];
        var previous = 1.0;
        for (var t = 0; t < betas.Length; t++)
        {
            var alpha = (_levels[t].Alpha - last) * first / (first - last);
            betas[t] = 1.0 - (alpha * alpha / (previous * previous));
            previous = alpha;
        }

        return new DiscreteSchedule(betas, logger: null, _networkTimes);
    }

    /// <summary>
    /// Returns a schedule of some of the steps of this one, specified by a text such as "100", "10,15,20" or "ddim50". See
    /// <see cref="Respaced(ReadOnlySpan{int})"/>.
    /// </summary>
    /// <param name="steps">The steps, in the format of <see cref="Respacing.Parse"/>.</param>
    /// <exception cref="FormatException">The text is in none of these formats.</exception>
    /// <exception cref="ArgumentException">
    /// The schedule, or a part of it, has fewer steps than requested, or no integer stride selects the requested number of steps.
    /// </exception>
    public DiscreteSchedule Respaced(string steps) => Respaced(Respacing.Parse(steps, Steps));

    /// <summary>
    /// Returns a schedule of some of the steps of this one, with the same abar at each of them and new betas between them. Its
    /// <see cref="ModelTimestep"/> returns the indices of this schedule, so that a network trained with this schedule can be sampled
    /// with the new one.
    /// </summary>
    /// <param name="steps">Indices of this schedule, in increasing order.</param>
    /// <remarks>Source: Nichol and Dhariwal 2021, section 4.</remarks>
    /// <exception cref="ArgumentException">
    /// There are no steps, they are not in increasing order, or one of them is outside the schedule.
    /// </exception>
    public DiscreteSchedule Respaced(ReadOnlySpan<int> steps)
    {
        var (betas, times) = (new double[steps.Length], new double[steps.Length]);
        var previous = 1.0;
        for (var i = 0; i < steps.Length; i++)
        {
            if (steps[i] < 0 || steps[i] >= Steps || (i > 0 && steps[i] <= steps[i - 1]))
                throw new ArgumentException(
                    Invariant($"The steps must rise and lie in [0, {Steps - 1}], got ")
                    + Invariant($"{steps[i]}{(i > 0 ? $" after {steps[i - 1]}" : string.Empty)}."),
                    nameof(steps));
            betas[i] = 1.0 - (_alphaBars[steps[i]] / previous);
            times[i] = ModelTimestep(steps[i]);
            previous = _alphaBars[steps[i]];
        }

        return new DiscreteSchedule(betas, logger: null, times);
    }
}
