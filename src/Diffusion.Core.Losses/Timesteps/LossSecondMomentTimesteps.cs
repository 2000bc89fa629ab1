using System.Runtime.InteropServices;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A sampler of times that adapts to the losses at its times. Each sample has an importance weight, so that the weighted mean of the
/// losses is still an estimate of the mean over uniformly distributed times. The state is accessible, so that it can be stored in
/// checkpoints.
/// </summary>
public interface IAdaptiveTimestepSampler : ITimestepSampler, IDisposable
{
    /// <summary>
    /// The complete state, by name: the tensors of the sampler itself, on the CPU. The sampler owns them; copying values into them
    /// restores a state.
    /// </summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>Returns the importance weight of each time. The expected weight is 1.</summary>
    /// <param name="t">[B] times that were drawn since the last call of <see cref="Observe"/>, on the CPU.</param>
    /// <returns>[B] the weights, float64 on the CPU. The caller must dispose the returned tensor.</returns>
    Tensor Weights(Tensor t);

    /// <summary>Updates the state with the losses of a batch. Losses that are not finite are ignored.</summary>
    /// <param name="t">[B] the times of the losses, on the CPU.</param>
    /// <param name="losses">[B] the unweighted losses, floating point on the CPU.</param>
    void Observe(Tensor t, Tensor losses);
}

/// <summary>
/// Draws index t with a probability proportional to sqrt(E[L_t^2]), estimated from the last losses at each t. This reduces the
/// variance of the gradient of the variational bound. The distribution is uniform until every index has a full history.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, eq. 18, with the defaults of their code. The sampler owns its tensors. It is not thread-safe.
/// </remarks>
public sealed class LossSecondMomentTimesteps : IAdaptiveTimestepSampler
{
    private readonly Tensor _history;
    private readonly Tensor _counts;

    /// <summary>Creates a sampler with an empty history.</summary>
    /// <param name="schedule">The schedule whose indices are drawn.</param>
    /// <param name="historyLength">The number of losses that are stored for each t. The default is 10.</param>
    /// <param name="uniformProbability">
    /// The fraction of the draws that are uniformly distributed, so that every t is drawn. The default is 0.001.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="historyLength"/> is less than 1, or <paramref name="uniformProbability"/> is outside [0, 1].
    /// </exception>
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

    /// <summary>The number of losses that are stored for each t.</summary>
    public int HistoryLength { get; }

    /// <summary>The fraction of the draws that are uniformly distributed.</summary>
    public double UniformProbability { get; }

    /// <inheritdoc/>
    /// <remarks>
    /// The tensors are <c>history</c>, [T, historyLength] float64, the losses with the oldest first, and <c>counts</c>, [T] int64, the
    /// number of losses stored for each t.
    /// </remarks>
    public IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>Returns [T] the probability of each index, which is uniform until every index has a full history.</summary>
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
    /// <exception cref="ArgumentException">The schedule is not discrete, or does not have <see cref="Steps"/> steps.</exception>
    public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(generator);
        if (schedule is not DiscreteSchedule discrete || discrete.Steps != Steps)
            throw new ArgumentException(
                Invariant($"This sampler draws the indices of a discrete schedule of {Steps} steps."), nameof(schedule));
        var cumulative = Probabilities();
        for (var t = 1; t < Steps; t++)
            cumulative[t] += cumulative[t - 1];
        var draws = UnitDraws.Independent.Draw((int)Guard.InRange(count, 1, int.MaxValue), generator);

        // Finds the first index whose cumulative probability exceeds the draw, which is never an index with zero probability.
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
    /// <exception cref="ArgumentException">t is not [B] int64 on the CPU, or an index is outside 0..T-1.</exception>
    public Tensor Weights(Tensor t)
    {
        var probabilities = Probabilities();
        return tensor(Array.ConvertAll(Indices(t), index => 1.0 / (Steps * probabilities[index])), dtype: ScalarType.Float64);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// t is not [B] int64 on the CPU, an index is outside 0..T-1, or the losses are not [B] floating point.
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
