using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A <see cref="LinearPair"/> that depends on time, applied to a batch whose samples each have their own t. Over a
/// <see cref="DiscreteSchedule"/> the coefficients are tabulated once in double precision and gathered on the device; over any other
/// schedule they are computed for the times at hand. Owns its tables.
/// </summary>
public sealed class ScheduledPair : IDisposable
{
    private readonly ScheduledValue _first;
    private readonly ScheduledValue _second;

    /// <summary>The pair <paramref name="coefficients"/> of (level at t, level one step before t) over a schedule.</summary>
    /// <param name="schedule">Any schedule; without discrete steps, the earlier level is the level at t itself.</param>
    /// <param name="coefficients">A pure function.</param>
    public ScheduledPair(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, LinearPair> coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        _first = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).First);
        _second = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).Second);
    }

    /// <summary>A pair from two tables of a discrete schedule, one value for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">A table does not have one value for each t.</exception>
    public ScheduledPair(DiscreteSchedule schedule, ReadOnlySpan<double> first, ReadOnlySpan<double> second)
        => (_first, _second) = (new ScheduledValue(schedule, first), new ScheduledValue(schedule, second));

    /// <summary><c>First(t) * a + Second(t) * b</c>.</summary>
    /// <param name="t">[B] times: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="a">[B, ...] floating point.</param>
    /// <param name="b">The shape, type and device of <paramref name="a"/>.</param>
    /// <returns>The shape, type and device of <paramref name="a"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Apply(Tensor t, Tensor a, Tensor b)
    {
        Guard.SameShape(a, b);
        Guard.SameType(a, b);
        // The target of a network that predicts the noise, or the data, is there already.
        if ((_first.Constant, _second.Constant) is (0.0, 1.0) or (1.0, 0.0))
        {
            _first.Check(t, a);
            return _first.Constant == 0.0 ? b.clone() : a.clone();
        }

        using var first = _first.At(t, a);
        using var second = _second.At(t, a);
        var result = a.mul(first);
        using var rest = b.mul(second);
        result.Add_(rest);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }
}
