using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Noise added before a step, which reduces the errors of earlier steps. If sigma / alpha is from <see cref="MinRatio"/> to
/// <see cref="MaxRatio"/>, it is multiplied by <c>1 + min(Amount / N, sqrt(2) - 1)</c>, where N is the number of steps of the grid. Unless
/// <see cref="CallsNetworkFirst"/> is set, the result is limited to the largest value of the schedule.
/// </summary>
/// <remarks>Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", Algorithm 2.</remarks>
public sealed record Churn
{
    private static readonly double _largest = Math.Sqrt(2.0) - 1.0;
    private readonly double _amount;
    private readonly double _noiseScale = 1.0;

    /// <summary>No noise.</summary>
    public static Churn None { get; } = new();

    /// <summary>S_churn, at least 0. The default is 0: no noise.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative or not finite.</exception>
    public double Amount
    {
        get => _amount;
        init => _amount = Guard.Factor(value, nameof(Amount));
    }

    /// <summary>S_tmin, the sigma / alpha below which no noise is added. The default is 0.</summary>
    public double MinRatio { get; init; }

    /// <summary>S_tmax, the sigma / alpha above which no noise is added. The default is positive infinity.</summary>
    public double MaxRatio { get; init; } = double.PositiveInfinity;

    /// <summary>
    /// S_noise, the factor of the standard deviation of the noise. Values slightly above 1 compensate for networks that remove too much
    /// noise. The default is 1.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not finite and greater than 0.</exception>
    public double NoiseScale
    {
        get => _noiseScale;
        init => _noiseScale = Guard.PositiveFactor(value, nameof(NoiseScale));
    }

    /// <summary>
    /// Whether the network is called before the noise is added, and x_0 and eps for the noisier sample are derived from its output, as in
    /// diffusers. If <see langword="false"/>, it is called with the noisier sample and its time, as in the paper. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool CallsNetworkFirst { get; init; }

    /// <summary>Returns gamma, the relative increase of sigma / alpha at the start of a step.</summary>
    internal double Share(NoiseLevel from, int steps)
        => from.NoiseToSignalRatio >= MinRatio && from.NoiseToSignalRatio <= MaxRatio && double.IsFinite(from.NoiseToSignalRatio) ? Math.Min(Amount / steps, _largest) : 0.0;
}

/// <summary>The start of a step after the noise of <see cref="Churn"/> has been added, and the prediction there.</summary>
internal readonly struct ChurnedStart : IDisposable
{
    private readonly bool _isNew;

    private ChurnedStart(Tensor sample, NoiseLevel level, ModelPrediction evaluation, bool isNew)
        => (Sample, Level, Prediction, _isNew) = (sample, level, evaluation, isNew);

    /// <summary>[B, ...] the noisier sample, or the sample of the step if no noise was added.</summary>
    public Tensor Sample { get; }

    /// <summary>alpha and sigma of <see cref="Sample"/>.</summary>
    public NoiseLevel Level { get; }

    /// <summary>The prediction for <see cref="Sample"/>. Owned by the step.</summary>
    public ModelPrediction Prediction { get; }

    /// <summary>Adds the noise to the start of a step, if any.</summary>
    public static ChurnedStart Of(SolverStep step, Churn churn)
    {
        var from = step.From;
        var share = churn.Share(from, step.Grid.Count);
        if (share == 0.0)
            return new ChurnedStart(step.Sample, from, step.Current, isNew: false);

        // The network is not called at the new level, so the level may be outside the schedule, and alpha need not change.
        if (churn.CallsNetworkFirst)
        {
            var raised = new NoiseLevel(from.Alpha, from.Sigma * (1.0 + share));
            var noisier = AddNoise(step, raised, churn.NoiseScale);
            return new ChurnedStart(noisier, raised, step.Show(step.EvaluateAs(noisier, raised)), isNew: true);
        }

        var schedule = step.Grid.Schedule;
        var ratio = Math.Min(from.NoiseToSignalRatio * (1.0 + share), schedule.LevelAt(schedule.MaxTime).NoiseToSignalRatio);
        if (ratio <= from.NoiseToSignalRatio)
            return new ChurnedStart(step.Sample, from, step.Current, isNew: false);
        var (time, level) = step.At(-Math.Log(ratio));
        var sample = AddNoise(step, level, churn.NoiseScale);
        return new ChurnedStart(sample, level, step.Show(step.Evaluate(sample, time, level)), isNew: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isNew)
            Sample.Dispose();
    }

    private static Tensor AddNoise(SolverStep step, NoiseLevel level, double scale)
    {
        var from = step.From.NoiseToSignalRatio;
        var deviation = level.Alpha * Math.Sqrt(Math.Max((level.NoiseToSignalRatio * level.NoiseToSignalRatio) - (from * from), 0.0));
        using var noise = step.Noise.Draw(step.Sample);
        return step.Sample.Mul(level.Alpha / step.From.Alpha).Add_(noise, alpha: deviation * scale);
    }
}
