using Diffusion.Core.Losses;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class MicroBatchTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    [InlineData(50)]
    public void A_batch_in_parts_gives_the_gradients_of_the_whole(int size)
    {
        var (whole, parts) = (new Recorded(), new Recorded());
        Step(whole, null, 1);
        Step(parts, size, 1);

        Near(parts.Weights!, whole.Weights!);
        parts.Times.Should().Equal(whole.Times);
        parts.Noise.Should().Equal(whole.Noise);
    }

    [Fact]
    public void Many_steps_in_parts_lead_where_whole_ones_do()
    {
        var (whole, parts) = (new Recorded(), new Recorded());
        Step(whole, null, 20);
        Step(parts, 3, 20);

        Near(parts.Weights!, whole.Weights!);
        parts.Loss.Should().BeApproximately(whole.Loss, 1e-5);
    }

    [Fact]
    public void An_adaptive_sampler_of_times_sees_every_sample_once()
    {
        var (whole, parts) = (new Recorded(), new Recorded());
        using (var sampler = new LossSecondMomentTimesteps(Runs.Schedule))
            Step(whole, null, 5, sampler);
        using (var sampler = new LossSecondMomentTimesteps(Runs.Schedule))
            Step(parts, 3, 5, sampler);

        Near(parts.Weights!, whole.Weights!);
        parts.Times.Should().Equal(whole.Times);
    }

    [Fact]
    public void Dropout_draws_anew_for_each_part_and_the_same_each_time()
    {
        var (first, second, whole) = (new Recorded(), new Recorded(), new Recorded());
        Step(first, 3, 3, dropout: 0.5);
        Step(second, 3, 3, dropout: 0.5);
        Step(whole, null, 3, dropout: 0.5);

        second.Weights.Should().Equal(first.Weights);
        whole.Weights.Should().NotEqual(first.Weights);
        whole.Times.Should().Equal(first.Times);
        whole.Noise.Should().Equal(first.Noise);
    }

    private static void Step(Recorded record, int? size, int steps, ITimestepSampler? timesteps = null, double dropout = 0.0)
    {
        using var model = new TinyDenoiser(dropout: dropout);
        // Plain descent: the weights tell the gradients, size and all.
        var options = Runs.Options with
        {
            MicroBatchSize = size,
            Timesteps = timesteps ?? new UniformTimesteps(),
            Optimizer = new Sgd { Momentum = 0.0 },
            LearningRate = 0.1,
            WarmupSteps = 0,
            MaxGradNorm = null,
        };
        using var trainer = Runs.Trainer(model, options, record);
        for (var step = 0; step < steps; step++)
        {
            using var batch = Runs.Batch(1, 2, 3, 4, 5, 6, 7);
            trainer.TrainStep(batch);
        }

        record.Weights = Read(model);
        record.Loss = trainer.LastLoss;
    }

    private static float[] Read(TinyDenoiser model)
        => [.. model.named_parameters().SelectMany(p => p.parameter.detach().clone().data<float>().ToArray())];

    private static void Near(float[] actual, float[] expected, double tolerance = 2e-6)
    {
        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], (float)tolerance, "element {0}", i);
    }

    /// <summary>The simple loss, with the times and noise that it was asked for.</summary>
    private sealed class Recorded : IDiffusionLoss
    {
        private readonly SimpleLoss _inner = new();

        public List<double> Times { get; } = [];

        public List<float> Noise { get; } = [];

        public float[]? Weights { get; set; }

        public double Loss { get; set; }

        public LossTerms Evaluate(LossContext context)
        {
            Times.AddRange(context.T.to(ScalarType.Float64).data<double>().ToArray());
            Noise.AddRange(context.Noise.contiguous().data<float>().ToArray());
            return _inner.Evaluate(context);
        }
    }
}
