using Diffusion.Core.Schedules;

namespace Diffusion.Core.Testing;

/// <summary>Every schedule that the library offers, by name, for the properties that all of them must have.</summary>
public static class TestSchedules
{
    private static readonly Dictionary<string, Func<DiscreteSchedule>> DiscreteMakers = new(StringComparer.Ordinal)
    {
        ["linear"] = () => DiscreteSchedule.Linear(),
        ["linear, 20 steps"] = () => DiscreteSchedule.LinearScaledBySteps(20, 1e-4, 0.018),
        ["linear scaled by steps, 100"] = () => DiscreteSchedule.LinearScaledBySteps(100),
        ["scaled linear"] = () => DiscreteSchedule.ScaledLinear(),
        ["quadratic"] = () => DiscreteSchedule.Quadratic(),
        ["constant"] = () => DiscreteSchedule.Constant(),
        ["JSD"] = () => DiscreteSchedule.Jsd(),
        ["warm-up 10"] = () => DiscreteSchedule.WarmUp(),
        ["warm-up 50"] = () => DiscreteSchedule.WarmUp(fraction: 0.5),
        ["sigmoid of beta"] = () => DiscreteSchedule.SigmoidBeta(),
        ["sigmoid of abar"] = () => DiscreteSchedule.SigmoidAlphaBar(),
        ["cosine"] = () => DiscreteSchedule.Cosine(),
        ["cosine, 4000 steps"] = () => DiscreteSchedule.Cosine(4000),
        ["cosine, shifted"] = () => DiscreteSchedule.CosineShifted(256),
        ["cosine, interpolated"] = () => DiscreteSchedule.CosineInterpolated(256),
        ["exponential"] = () => DiscreteSchedule.Exponential(),
        ["Laplace"] = () => DiscreteSchedule.Laplace(),
        ["Laplace, root"] = () => DiscreteSchedule.LaplaceRoot(),
        ["linear VP"] = () => DiscreteSchedule.Discretise(new LinearVpSchedule(), 100),
        ["straight line"] = () => DiscreteSchedule.Discretise(new RectifiedFlowSchedule(), 100),
        ["EDM"] = () => DiscreteSchedule.Discretise(new EdmSchedule(), 100),
        ["zero terminal SNR"] = () => DiscreteSchedule.Linear().RescaledToZeroTerminalSnr(),
        ["respaced, 50"] = () => DiscreteSchedule.Linear().Respaced("50"),
        ["respaced, ddim20"] = () => DiscreteSchedule.Cosine().Respaced("ddim20"),
        ["two steps"] = () => DiscreteSchedule.FromBetas([0.3, 0.6]),
        ["one step"] = () => DiscreteSchedule.FromBetas([0.5]),
    };

    private static readonly Dictionary<string, Func<INoiseSchedule>> ContinuousMakers = new(StringComparer.Ordinal)
    {
        ["linear VP, continuous"] = () => new LinearVpSchedule(),
        ["sub-VP"] = () => new SubVpSchedule(),
        ["cosine log-SNR"] = () => new CosineLogSnrSchedule(),
        ["cosine log-SNR, -15 to 12"] = () => new CosineLogSnrSchedule(-15.0, 12.0),
        ["cosine log-SNR, shifted"] = () => ResolutionShiftedSchedule.Shifted(512),
        ["cosine log-SNR, interpolated"] = () => ResolutionShiftedSchedule.Interpolated(512),
        ["tabulated"] = () => new TabulatedSchedule([0.0, 0.1, 0.5, 0.6, 2.0], [9.0, 8.5, 1.0, -1.0, -12.0]),
        ["beta, integrated"] = () => new BetaSchedule(t => 0.1 + (20.0 * t * t * t), maxTime: 1.5),
        ["variance exploding"] = () => new VarianceExplodingSchedule(),
        ["EDM, continuous"] = () => new EdmSchedule(),
        ["EDM, consistency"] = () => new EdmSchedule(timeScale: 250.0),
        ["straight line, continuous"] = () => new RectifiedFlowSchedule(),
        ["straight line, 1000, shift 3"] = () => new RectifiedFlowSchedule(1000.0, TimestepShift.Static(3.0)),
        ["straight line, exponential shift"] = () => new RectifiedFlowSchedule(1000.0, TimestepShift.Exponential(1.15, 1.3)),
        ["straight line, linear shift"] = () => new RectifiedFlowSchedule(1.0, TimestepShift.Linear(2.0, 0.7)),
    };

    /// <summary>The discrete schedules.</summary>
    public static TheoryData<string> Names => [.. DiscreteMakers.Keys];

    /// <summary>The continuous schedules.</summary>
    public static TheoryData<string> ContinuousNames => [.. ContinuousMakers.Keys];

    /// <summary>All of them.</summary>
    public static TheoryData<string> AllNames => [.. DiscreteMakers.Keys, .. ContinuousMakers.Keys];

    public static DiscreteSchedule Make(string name) => DiscreteMakers[name]();

    public static INoiseSchedule MakeAny(string name)
        => DiscreteMakers.TryGetValue(name, out var discrete) ? discrete() : ContinuousMakers[name]();

    /// <summary>All times of a discrete schedule; of a continuous one 201, both ends among them.</summary>
    public static IEnumerable<(double Time, NoiseLevel Level, NoiseLevel Previous)> Levels(INoiseSchedule schedule)
    {
        if (schedule is DiscreteSchedule discrete)
        {
            for (var t = 0; t < discrete.Steps; t++)
                yield return (t, discrete.LevelAt(t), discrete.PreviousLevel(t));
            yield break;
        }

        for (var i = 0; i <= 200; i++)
        {
            var t = i == 200 ? schedule.MaxTime : schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * i / 200.0);
            var level = schedule.LevelAt(t);
            yield return (t, level, level);
        }
    }
}
