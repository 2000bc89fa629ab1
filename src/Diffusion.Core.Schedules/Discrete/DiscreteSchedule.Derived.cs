namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>
    /// This schedule with sqrt(abar) shifted and stretched so that the last is exactly 0 and the first stays: sampling from N(0, I) then
    /// starts where training ended. A prediction of eps does not determine the data there: use
    /// <see cref="Prediction.Velocity"/>.
    /// </summary>
    /// <remarks>Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps Are Flawed", Algorithm 1.</remarks>
    /// <exception cref="InvalidOperationException">There is one step, which cannot both stay and lose all signal.</exception>
    public DiscreteSchedule RescaledToZeroTerminalSnr()
    {
        if (Steps == 1)
            throw new InvalidOperationException("A schedule of 1 step has no end apart from its beginning to rescale.");
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
    /// The schedule of some of the steps of this one, named by a text such as "100", "10,15,20" or "ddim50", as
    /// <see cref="Respaced(ReadOnlySpan{int})"/> constructs it.
    /// </summary>
    /// <param name="steps">What <see cref="Respacing.Parse"/> reads.</param>
    /// <exception cref="FormatException">The text is not one of these.</exception>
    /// <exception cref="ArgumentException">There are fewer steps than it asks for, or no whole stride gives that many.</exception>
    public DiscreteSchedule Respaced(string steps) => Respaced(Respacing.Parse(steps, Steps));

    /// <summary>
    /// A schedule of some of the steps of this one: the same abar at each, and new betas that lead from one to the next. Its network is
    /// receives the indices of this schedule, by <see cref="ModelTimestep"/>, so that one trained here can be sampled there.
    /// </summary>
    /// <param name="steps">Indices of this schedule, rising.</param>
    /// <remarks>Source: Nichol and Dhariwal 2021, section 4.</remarks>
    /// <exception cref="ArgumentException">There are no steps, they do not rise, or one lies outside the schedule.</exception>
    public DiscreteSchedule Respaced(ReadOnlySpan<int> steps)
    {
        var (betas, times) = (new double[steps.Length], new double[steps.Length]);
        var previous = 1.0;
        for (var i = 0; i < steps.Length; i++)
        {
            if (steps[i] < 0 || steps[i] >= Steps || (i > 0 && steps[i] <= steps[i - 1]))
                throw new ArgumentException(
                    $"The steps must rise and lie in [0, {Steps - 1}], got {steps[i]}{(i > 0 ? $" after {steps[i - 1]}" : string.Empty)}.",
                    nameof(steps));
            betas[i] = 1.0 - (_alphaBars[steps[i]] / previous);
            times[i] = ModelTimestep(steps[i]);
            previous = _alphaBars[steps[i]];
        }

        return new DiscreteSchedule(betas, logger: null, times);
    }
}
