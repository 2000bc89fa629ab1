using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A <see cref="LinearPair"/> that depends on time, applied to a batch whose samples each have their own t. Over a
/// <see cref="DiscreteSchedule"/> the coefficients are tabulated once in double precision and gathered on the device; over any other
/// schedule they are computed for the times at hand.
/// </summary>
public sealed class ScheduledPair
{
    private readonly ScheduledValue _first;
    private readonly ScheduledValue _second;

    /// <summary>The pair <paramref name="coefficients"/> of (level at t, level one step before t) over a schedule.</summary>
    /// <param name="schedule">Any schedule; without discrete steps, the earlier level is the level at t itself.</param>
    /// <param name="coefficients">Called once for every t of a discrete schedule.</param>
    public ScheduledPair(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, LinearPair> coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        _first = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).First);
        _second = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).Second);
    }

    internal ScheduledPair(ScheduledValue first, ScheduledValue second) => (_first, _second) = (first, second);

    /// <summary><c>First(t) * a + Second(t) * b</c>.</summary>
    /// <param name="t">[B] times: integers for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="a">[B, ...] floating point.</param>
    /// <param name="b">The shape of <paramref name="a"/>.</param>
    /// <returns>The shape, type and device of <paramref name="a"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit each other.</exception>
    public Tensor Apply(Tensor t, Tensor a, Tensor b)
    {
        Guard.SameShape(a, b);
        using var first = _first.At(t, a);
        using var second = _second.At(t, a);
        var result = a.mul(first);
        using var rest = b.mul(second);
        result.add_(rest);
        return result;
    }
}
