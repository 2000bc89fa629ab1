using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Transformers learn to draw digits: a few minutes on two cores.</summary>
[Trait(Category.Name, Category.Long)]
public class TransformerTrainingTests
{
    private const int Steps = 700;
    private const int BatchSize = 32;

    private static readonly Dictionary<string, Func<DenoisingNetwork>> Networks = new(StringComparer.Ordinal)
    {
        ["DiT"] = () => new DiT(new DiTOptions
        {
            ImageSize = 28,
            Channels = 1,
            PatchSize = 4,
            Width = 96,
            Depth = 4,
            Heads = 4,
            Classes = SyntheticDigits.Classes,
            SharedEmbedding = true,
        }),
        ["Swin"] = () => new SwinDenoiser(new SwinDenoiserOptions
        {
            Channels = 1,
            PatchSize = 4,
            Width = 48,
            Depths = [2, 2],
            Heads = [3, 6],
            Classes = SyntheticDigits.Classes,
        }),
    };

    public static TheoryData<string> Names => [.. Networks.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_transformer_learns_digits(string name)
    {
        var token = TestContext.Current.CancellationToken;
        random.manual_seed(0);
        using var network = Networks[name]();
        var schedule = DiscreteSchedule.Cosine();
        var losses = new List<double>();
        using var trainer = new DdpmTrainer(network, schedule, new SimpleLoss(), new TrainerOptions
        {
            Steps = Steps,
            BatchSize = BatchSize,
            LearningRateSchedule = LearningRateSchedules.Cosine(2e-3, Steps, warmupSteps: 50),
            Ema = EmaDecay.WarmUp(0.995),
            LogEvery = 1,
        });

        trainer.Fit(new SyntheticDigits(seed: 1, count: 20_000), new DirectProgress(report => losses.Add(report.Loss)), token);

        var tenths = losses.Chunk(losses.Count / 10).Select(tenth => tenth.Average()).ToArray();
        TestContext.Current.SendDiagnosticMessage(
            $"{name}, loss by tenths of the run: {string.Join(" ", tenths.Select(loss => loss.ToString("F4", System.Globalization.CultureInfo.InvariantCulture)))}");
        losses.Should().OnlyContain(loss => double.IsFinite(loss));
        tenths[^1].Should().BeLessThan(0.3 * tenths[0]);
        tenths[9].Should().BeLessThan(tenths[4]);
        trainer.SkippedSteps.Should().Be(0);

        using var condition = Condition.OfLabels([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]);
        var sampler = new DdimSampler(50);
        using var samples = sampler.Sample(trainer.Ema, [12, 1, 28, 28], seed: 0, condition: condition, cancellationToken: token);
        var values = samples.Values();
        values.Should().OnlyContain(value => double.IsFinite(value) && Math.Abs(value) <= 1.01);
        using var data = new SyntheticDigits(seed: 2, count: 100).Load([.. Enumerable.Range(0, 100).Select(index => (long)index)]);
        values.Average().Should().BeApproximately(data.Samples.Values().Average(), 0.15, "as much ink as in the data");
    }
}
