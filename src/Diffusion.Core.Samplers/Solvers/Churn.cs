using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Noise added before a step, so that errors of earlier steps are forgotten: where sigma / alpha lies in a range, it is raised by the
/// factor <c>1 + min(Amount / N, sqrt(2) - 1)</c>, N being the steps of the grid, and no further than the schedule reaches.
/// </summary>
/// <remarks>Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", Algorithm 2.</remarks>
public sealed record Churn
{
    private static readonly double _largest = Math.Sqrt(2.0) - 1.0;
    private readonly double _amount;
    private readonly double _noiseScale = 1.0;

    /// <summary>No noise at all.</summary>
    public static Churn None { get; } = new();

    /// <summary>S_churn, at least 0; 0 for none.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative or not finite.</exception>
    public double Amount
    {
        get => _amount;
        init => _amount = Guard.InRange(value, 0.0, double.MaxValue, nameof(Amount));
    }

    /// <summary>S_tmin: below this sigma / alpha nothing is added.</summary>
    public double MinRatio { get; init; }

    /// <summary>S_tmax: above this sigma / alpha nothing is added.</summary>
    public double MaxRatio { get; init; } = double.PositiveInfinity;

    /// <summary>S_noise: the standard deviation of the noise, slightly above 1 to make up for what networks remove too much.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not finite and greater than 0.</exception>
    public double NoiseScale
    {
        get => _noiseScale;
        init => _noiseScale = Guard.Positive(value, nameof(NoiseScale));
    }

    /// <summary>
    /// True to call the network before the noise is added and to read its answer at the noisier sample, as diffusers does. False,
    /// as in the paper, to call it at the noisier sample and its time.
    /// </summary>
    public bool CallsNetworkFirst { get; init; }

    /// <summary>gamma: by what share sigma / alpha is raised at the start of a step.</summary>
    internal double Share(NoiseLevel from, int steps)
        => from.Ratio >= MinRatio && from.Ratio <= MaxRatio && double.IsFinite(from.Ratio) ? Math.Min(Amount / steps, _largest) : 0.0;
}

/// <summary>Where a step starts after <see cref="Churn"/> has added its noise, and what the network says there.</summary>
internal readonly struct ChurnedStart : IDisposable
{
    private readonly bool _isNew;

    private ChurnedStart(Tensor sample, NoiseLevel level, ModelPrediction evaluation, bool isNew)
        => (Sample, Level, Prediction, _isNew) = (sample, level, evaluation, isNew);

    /// <summary>[B, ...] the noisier sample; that of the step where nothing was added.</summary>
    public Tensor Sample { get; }

    /// <summary>alpha and sigma of <see cref="Sample"/>.</summary>
    public NoiseLevel Level { get; }

    /// <summary>What the network says there. Owned by the step.</summary>
    public ModelPrediction Prediction { get; }

    /// <summary>Adds the noise that a step calls for, if any.</summary>
    public static ChurnedStart Of(SolverStep step, Churn churn)
    {
        var from = step.From;
        var share = churn.Share(from, step.Grid.Count);
        if (share == 0.0)
            return new ChurnedStart(step.Sample, from, step.Current, isNew: false);

        // Where the network is not called at the new level, nothing bounds it, and alpha may stay.
        if (churn.CallsNetworkFirst)
        {
            var raised = new NoiseLevel(from.Alpha, from.Sigma * (1.0 + share));
            var noisier = AddNoise(step, raised, churn.NoiseScale);
            return new ChurnedStart(noisier, raised, step.Show(step.EvaluateAs(noisier, raised)), isNew: true);
        }

        var schedule = step.Grid.Schedule;
        var ratio = Math.Min(from.Ratio * (1.0 + share), schedule.LevelAt(schedule.MaxTime).Ratio);
        if (ratio <= from.Ratio)
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
        var from = step.From.Ratio;
        var deviation = level.Alpha * Math.Sqrt(Math.Max((level.Ratio * level.Ratio) - (from * from), 0.0));
        using var noise = step.Noise.Draw(step.Sample);
        return step.Sample.Mul(level.Alpha / step.From.Alpha).Add_(noise, alpha: deviation * scale);
    }
}
