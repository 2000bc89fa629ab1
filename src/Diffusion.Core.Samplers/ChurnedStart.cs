using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Where a step starts after <see cref="Churn"/> has added its noise, and what the network says there.</summary>
internal readonly struct ChurnedStart : IDisposable
{
    private readonly bool _isNew;

    private ChurnedStart(Tensor sample, NoiseLevel level, Evaluation evaluation, bool isNew)
        => (Sample, Level, Evaluation, _isNew) = (sample, level, evaluation, isNew);

    /// <summary>[B, ...] the noisier sample; that of the step where nothing was added.</summary>
    public Tensor Sample { get; }

    /// <summary>alpha and sigma of <see cref="Sample"/>.</summary>
    public NoiseLevel Level { get; }

    /// <summary>What the network says there. Owned by the step.</summary>
    public Evaluation Evaluation { get; }

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
