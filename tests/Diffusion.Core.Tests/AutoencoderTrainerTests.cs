using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class AutoencoderTrainerTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_in_two_parts_equals_one_without_a_break_bit_for_bit(bool quantized)
    {
        using var folder = new TemporaryFolder();
        Train(quantized, folder.File("whole"), 20, seed: 1);
        Train(quantized, folder.File("half"), 10, seed: 1);
        random.manual_seed(123);
        Train(quantized, folder.File("resumed"), 20, seed: 2, from: folder.File("half"));

        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
    }

    [Fact]
    public void The_loss_falls_and_the_average_follows()
    {
        using var scope = NewDisposeScope();
        using var model = Vectors(seed: 4);
        var loss = new AutoencoderLoss(Reconstruction.Gaussian(0.1));
        using var trainer = new AutoencoderTrainer(model, loss, Runs.Options with { Steps = 300 });
        var x = new Points(50).Load([.. Enumerable.Range(0, 50)]).Samples;

        var before = Mean(loss, model, x);
        trainer.Run(new Points(50));

        Mean(loss, trainer.Ema, x).Should().BeLessThan(before - 40);
        var outside = trainer.Ema.Decode(zeros(1, 2));
        outside.requires_grad.Should().BeFalse();
        Bits.Of(outside).Should().NotBe(Bits.Of(model.Decode(zeros(1, 2))));
        using (trainer.Ema.BeginInference())
            Bits.Of(model.Decode(zeros(1, 2))).Should().Be(Bits.Of(outside));
    }

    [Fact]
    public void Steps_leave_no_tensors()
    {
        using var model = Vectors(seed: 4);
        var loss = new DynamicBinarization(new AutoencoderLoss(Reconstruction.Bernoulli));
        using var trainer = new AutoencoderTrainer(model, loss, Runs.Options);
        using var batch = Runs.Batch(0, 1, 2);
        trainer.TrainStep(batch);

        LiveTensors.Change(() =>
        {
            for (var step = 0; step < 1_000; step++)
                trainer.TrainStep(batch);
        }).Should().Be(0);
    }

    [Fact]
    public void A_checkpoint_of_a_denoiser_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var denoiser = new TinyDenoiser();
        using var first = Runs.Trainer(denoiser);
        first.Save(folder.File("denoiser"));
        using var model = Vectors(seed: 1);
        using var trainer = new AutoencoderTrainer(model, new AutoencoderLoss(), Runs.Options);
        trainer.Save(folder.File("autoencoder"));

        FluentActions.Invoking(() => trainer.Resume(folder.File("denoiser")))
            .Should().Throw<CheckpointException>().WithMessage("*with a noise schedule*has none*");
        FluentActions.Invoking(() => first.Resume(folder.File("autoencoder")))
            .Should().Throw<CheckpointException>().WithMessage("*without a noise schedule*has one*");
    }

    [Fact]
    public void A_rate_that_is_no_number_is_refused_before_the_codebook_moves()
    {
        random.manual_seed(1);
        using var model = Codebook();
        using var trainer = new AutoencoderTrainer(
            model, new VectorQuantizationLoss(), Runs.Options with { LearningRateSchedule = _ => double.NaN });
        using var samples = randn(2, 1, 2, 2);
        using var batch = new Batch(samples);
        var before = Bits.Of(model.Quantizer.Codebook);

        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<ArgumentOutOfRangeException>();

        Bits.Of(model.Quantizer.Codebook).Should().Be(before);
    }

    [Fact]
    public void A_missing_loss_does_not_take_the_parameters()
    {
        using var model = Vectors(seed: 1);

        FluentActions.Invoking(() => new AutoencoderTrainer(model, null!)).Should().Throw<ArgumentNullException>();

        new AutoencoderTrainer(model, new AutoencoderLoss()).Dispose();
    }

    private static Vae Vectors(int seed)
    {
        random.manual_seed(seed);
        return new Vae(new() { Body = new MlpBody { SampleShape = [2], Hidden = [16], LatentFeatures = 2, Activation = Activation.Silu } });
    }

    private static VQModel Codebook() => new(new()
    {
        Body = new() { Channels = 1, Widths = [4], Groups = 2, LatentChannels = 2, MiddleAttention = false },
        Codes = 6,
        AverageDecay = 0.9,
    });

    private static double Mean(AutoencoderLoss loss, IAutoencoder model, Tensor x)
    {
        using var generator = new Generator(1);
        using var terms = loss.Evaluate(model, x, generator);
        return terms.Loss.mean().item<float>();
    }

    private static void Train(bool quantized, string to, long steps, int seed, string? from = null)
    {
        random.manual_seed(seed);
        using AutoencodingNetwork model = quantized ? Codebook() : Vectors(seed);
        IAutoencoderLoss loss = quantized ? new VectorQuantizationLoss() : new AutoencoderLoss();
        using var trainer = new AutoencoderTrainer(model, loss, Runs.Options with { Steps = steps });
        if (from is not null)
            trainer.Resume(from);
        var data = new Points(13);
        if (quantized)
            data.Substitute = indices
                => tensor(Array.ConvertAll(indices, index => (float)Math.Sin(index))).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone();
        trainer.Run(data);
        trainer.Save(to);
    }
}
