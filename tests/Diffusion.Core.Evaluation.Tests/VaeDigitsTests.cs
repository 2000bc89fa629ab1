using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Testing;
using VaeDigits;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

/// <summary>The network and the training of samples/VaeDigits, on fewer steps.</summary>
public class VaeDigitsTests
{
    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void The_autoencoder_explains_new_digits_with_less_than_105_nats()
    {
        var folder = TestData.RequireData("mnist");
        using var scope = NewDisposeScope();
        random.manual_seed(0);
        using var vae = DigitVae.Create([400, 200], latentFeatures: 24);
        using var trainer = DigitVae.Trainer(vae, steps: 6_000, batchSize: 128, seed: 0, device: null);

        trainer.Fit(new Mnist(folder, options: new MnistOptions { WithLabels = false }), cancellationToken: TestContext.Current.CancellationToken);

        using var generator = new Generator(1);
        using var batch = new Mnist(folder, DataSplit.Test, new MnistOptions { WithLabels = false }).Load([.. Enumerable.Range(0, 10_000)]);
        var binary = DynamicBinarization.Draw(batch.Samples, generator);
        var evidence = AutoencoderBound.Evidence(trainer.Ema, DigitVae.Likelihood, binary, generator: generator).mean().item<float>();
        var weighted = AutoencoderBound.ImportanceWeighted(trainer.Ema, DigitVae.Likelihood, binary, 5, generator).mean().item<float>();
        TestContext.Current.TestOutputHelper?.WriteLine($"ELBO {evidence:F2} nats, importance-weighted {weighted:F2} nats.");
        evidence.Should().BeGreaterThan(-105f);
        weighted.Should().BeGreaterThan(evidence).And.BeLessThan(-70f);
    }
}
