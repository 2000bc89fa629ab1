using System.Runtime.InteropServices;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A sampler of times that learns from the losses at its times, and weights each draw, so that the weighted mean loss still
/// estimates the mean over even times. Its state is in the open, for a checkpoint to keep.
/// </summary>
public interface IAdaptiveTimestepSampler : ITimestepSampler, IDisposable
{
    /// <summary>The whole state, by name: live tensors on the CPU, owned by the sampler. Copying into them restores a state.</summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>The importance weight of each time, 1 on average over the draws.</summary>
    /// <param name="t">[B] times as drawn, on the CPU, before the next <see cref="Observe"/>.</param>
    /// <returns>[B] float64 on the CPU. The caller must dispose the returned tensor.</returns>
    Tensor Weights(Tensor t);

    /// <summary>Learns from a batch; a loss that is not finite is left out.</summary>
    /// <param name="t">[B] times as drawn, on the CPU.</param>
    /// <param name="losses">[B] their losses, not weighted, floating point on the CPU.</param>
    void Observe(Tensor t, Tensor losses);
}

/// <summary>
/// Draws index t with a chance in proportion to sqrt(E[L_t^2]), from the last losses of each t, with which the variational bound
/// less noisy. All times are alike until each has been seen often enough.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, eq. 18; the numbers are those of their code. Owns its tensors. Not safe for several threads at once.
/// </remarks>
public sealed class LossSecondMomentTimesteps : IAdaptiveTimestepSampler
{
    private readonly Tensor _history;
    private readonly Tensor _counts;

    /// <summary>A sampler that has seen nothing yet.</summary>
    /// <param name="schedule">The schedule whose indices are drawn.</param>
    /// <param name="historyLength">Losses kept for each t: 10.</param>
    /// <param name="uniformProbability">The share of the draws that is even, so that no t is forgotten: 0.001.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no history, or the share lies outside [0, 1].</exception>
    public LossSecondMomentTimesteps(DiscreteSchedule schedule, int historyLength = 10, double uniformProbability = 1e-3)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Steps = schedule.Steps;
        HistoryLength = Guard.InRange(historyLength, 1, int.MaxValue);
        UniformProbability = Guard.InRange(uniformProbability, 0.0, 1.0);
        _history = zeros([Steps, HistoryLength], dtype: ScalarType.Float64).DetachFromDisposeScope();
        _counts = zeros([Steps], dtype: ScalarType.Int64).DetachFromDisposeScope();
        State = new Dictionary<string, Tensor>(StringComparer.Ordinal) { ["history"] = _history, ["counts"] = _counts };
    }

    /// <summary>T, the number of indices.</summary>
    public int Steps { get; }

    /// <summary>Losses kept for each t.</summary>
    public int HistoryLength { get; }

    /// <summary>The share of the draws that is even.</summary>
    public double UniformProbability { get; }

    /// <inheritdoc/>
    /// <remarks><c>history</c>, [T, historyLength] float64, oldest first; <c>counts</c>, [T] int64, how many of them there are.</remarks>
    public IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>[T] the chance of each index; even until every index has a full history.</summary>
    public double[] Probabilities()
    {
        var history = MemoryMarshal.Cast<byte, double>(_history.bytes);
        var counts = MemoryMarshal.Cast<byte, long>(_counts.bytes);
        var result = new double[Steps];
        Array.Fill(result, 1.0 / Steps);
        var isFull = !counts.ContainsAnyExcept(HistoryLength);
        var (roots, sum) = (new double[Steps], 0.0);
        for (var t = 0; isFull && t < Steps; t++)
        {
            foreach (var loss in history.Slice(t * HistoryLength, HistoryLength))
                roots[t] += loss * loss;
            roots[t] = Math.Sqrt(roots[t] / HistoryLength);
            sum += roots[t];
        }

        GC.KeepAlive(this);
        for (var t = 0; sum > 0.0 && t < Steps; t++)
            result[t] = ((1.0 - UniformProbability) * roots[t] / sum) + (UniformProbability / Steps);
        return result;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The schedule has another number of steps.</exception>
    public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(generator);
        if (schedule is not DiscreteSchedule discrete || discrete.Steps != Steps)
            throw new ArgumentException($"This sampler draws the indices of a discrete schedule of {Steps} steps.", nameof(schedule));
        var cumulative = Probabilities();
        for (var t = 1; t < Steps; t++)
            cumulative[t] += cumulative[t - 1];
        var draws = UnitDraws.Independent.Draw((int)Guard.InRange(count, 1, int.MaxValue), generator);

        // The first index whose cumulative chance exceeds the draw: one without a chance is never that.
        return tensor(Array.ConvertAll(draws, u => Index(u * cumulative[^1])), dtype: ScalarType.Int64);

        long Index(double u)
        {
            var (low, high) = (0, Steps - 1);
            while (low < high)
            {
                var middle = (low + high) / 2;
                (low, high) = cumulative[middle] > u ? (low, middle) : (middle + 1, high);
            }

            return low;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">t is not [B] int64 on the CPU, or an index lies outside 0..T-1.</exception>
    public Tensor Weights(Tensor t)
    {
        var probabilities = Probabilities();
        return tensor(Array.ConvertAll(Indices(t), index => 1.0 / (Steps * probabilities[index])), dtype: ScalarType.Float64);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// t is not [B] int64 on the CPU, an index lies outside 0..T-1, or the losses are not [B].
    /// </exception>
    public void Observe(Tensor t, Tensor losses)
    {
        var indices = Indices(t);
        Guard.Shape(losses, [indices.Length]);
        Guard.Floating(losses);
        using var detached = losses.detach();
        using var exact = detached.to(ScalarType.Float64);
        var values = exact.data<double>().ToArray();
        var history = MemoryMarshal.Cast<byte, double>(_history.bytes);
        var counts = MemoryMarshal.Cast<byte, long>(_counts.bytes);
        for (var i = 0; i < indices.Length; i++)
        {
            if (!double.IsFinite(values[i]))
                continue;
            var row = history.Slice((int)indices[i] * HistoryLength, HistoryLength);
            ref var count = ref counts[(int)indices[i]];
            if (count == HistoryLength)
                row[1..].CopyTo(row);
            else
                count++;
            row[(int)count - 1] = values[i];
        }

        GC.KeepAlive(this);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _history.Dispose();
        _counts.Dispose();
    }

    private long[] Indices(Tensor t)
    {
        Guard.Shape(t, [-1]);
        if (t.dtype != ScalarType.Int64 || t.device_type != TorchSharp.DeviceType.CPU)
            throw new ArgumentException($"The times must be Int64 on the CPU, got {t.dtype} on {t.device}.", nameof(t));
        var indices = t.data<long>().ToArray();
        GC.KeepAlive(t);
        foreach (var index in indices)
            Guard.InRange(index, 0L, Steps - 1L, nameof(t));
        return indices;
    }
}
