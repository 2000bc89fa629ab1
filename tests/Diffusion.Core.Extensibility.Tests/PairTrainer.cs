using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom trainer: denoises images beside their degraded copies, and looks at the masked part of the error.</summary>
internal sealed class PairTrainer(PairNetwork network, INoiseSchedule schedule, TrainerOptions options)
    : Trainer<MaskedPairs>(network, null, options, null)
{
    private const long Times = 100;
    private const long Noise = 101;

    protected override StepLoss Evaluate(MaskedPairs batch, StepRandom draws)
    {
        using var scope = NewDisposeScope();
        var clean = batch.Clean;
        var t = draws.Draw(Times, null, generator => Options.Timesteps.Sample(schedule, draws.BatchSize, generator));
        var noise = draws.Normal(Noise, clean.shape, clean.dtype, Device);
        var levels = t.data<double>().ToArray().Select(schedule.LevelAt).ToArray();
        Tensor Column(Func<NoiseLevel, double> value)
            => tensor(levels.Select(level => (float)value(level)).ToArray(), device: Device).reshape(-1, 1, 1, 1);
        var x = clean.mul(Column(level => level.Alpha)).add(noise.mul(Column(level => level.Sigma)));

        var error = network.call(x, batch.Degraded, batch.Condition.Strength).sub(noise);
        var squares = error.mul(error).mul(batch.Mask.to(error.dtype)).mean([1, 2, 3]);
        var largest = squares.detach().to(ScalarType.Float64).sum().reshape(1);
        return new StepLoss(squares.mean()).Report(["masked_mse"], largest, full_like(largest, squares.shape[0]));
    }
}
