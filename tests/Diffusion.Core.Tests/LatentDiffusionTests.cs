using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class LatentDiffusionTests
{
    [Fact]
    public void Latents_are_the_scaled_mode_of_the_code_and_conditions_pass_through()
    {
        using var scope = NewDisposeScope();
        var autoencoder = new AffineAutoencoder();
        var data = new LatentDataset(new Labelled(), autoencoder, new LatentScaling(0.5, 2.0));

        using var batch = data.Load([4, 1, 4]);

        data.Count.Should().Be(20);
        data.SampleShape.Should().Equal(2);
        batch.Condition!.Labels!.data<long>().Should().Equal(4, 1, 4);
        var expected = new Points(20).Load([4, 1, 4]).Samples.mul(3).add(1).sub(2).mul(0.5);
        RelativeError.OfSamples(batch.Samples, expected).Should().BeLessThan(1e-6);
        batch.Samples.requires_grad.Should().BeFalse();
    }

    [Fact]
    public void Draws_depend_on_the_seed_and_the_index_alone_and_keeping_them_changes_nothing()
    {
        using var scope = NewDisposeScope();
        var autoencoder = new AffineAutoencoder();
        var data = new LatentDataset(new Labelled(), autoencoder, seed: 3);
        var other = new LatentDataset(new Labelled(), autoencoder, seed: 4);

        var pair = data.Load([7, 2]).Samples;
        var alone = data.Load([2]).Samples;
        data.EncodeAll(batchSize: 6, cancellationToken: TestContext.Current.CancellationToken);
        var calls = autoencoder.Encoded;
        using var kept = data.Load([7, 2]);

        Bits.Of(pair[1]).Should().Be(Bits.Of(alone[0])).And.NotBe(Bits.Of(other.Load([2]).Samples[0]));
        Bits.Of(kept.Samples).Should().Be(Bits.Of(pair));
        kept.Condition!.Labels!.data<long>().Should().Equal(7, 2);
        autoencoder.Encoded.Should().Be(calls + 1, "only the other set has encoded since");
    }

    [Fact]
    public void The_scaling_of_the_first_batch_gives_unit_variance()
    {
        using var scope = NewDisposeScope();
        var autoencoder = new AffineAutoencoder();
        var points = new Points(300);

        var scaling = LatentDiffusion.MeasureScaling(autoencoder, points, samples: 200, seed: 9);
        var latents = new LatentDataset(points, autoencoder, scaling, seed: 9).Load([.. Enumerable.Range(0, 200)]).Samples;

        scaling.Shifts.Should().Equal(0.0);
        latents.std().item<float>().Should().BeApproximately(1f, 1e-5f);
        // The mean of cos^2 and sin^2 is 1/2, so that the variance is 9/2 + exp(-2) whatever the draws.
        (1.0 / Math.Pow(scaling.Factors[0], 2)).Should().BeApproximately(4.5 + Math.Exp(-2.0), 0.3);
    }

    [Fact]
    public void A_scaling_that_is_not_given_is_that_of_the_autoencoder_or_none()
    {
        var published = new LatentScaling(0.18215);
        var model = new DelegateDenoiser((x, _) => x.clone()).On(Runs.Schedule);

        new LatentDiffusion(new AffineAutoencoder(scaling: published), model).Scaling.Should().Be(published);
        new LatentDiffusion(new AffineAutoencoder(), model).Scaling.Should().Be(LatentScaling.None);
        new LatentDataset(new Points(3), new AffineAutoencoder(scaling: published)).Scaling.Should().Be(published);
        new LatentDiffusion(new AffineAutoencoder(scaling: published), model, new LatentScaling(2)).Scaling.Should().Be(new LatentScaling(2));
    }

    [Fact]
    public void Sampling_decodes_what_the_sampler_gives_and_passes_the_condition_on()
    {
        using var scope = NewDisposeScope();
        var autoencoder = new AffineAutoencoder();
        Condition? seen = null;
        var denoiser = new DelegateDenoiser((x, _, condition) =>
        {
            seen = condition;
            return x.mul(0.7);
        });
        var model = denoiser.On(Runs.Schedule);
        var scaling = new LatentScaling(0.5, 2.0);
        var latent = new LatentDiffusion(autoencoder, model, scaling);
        var sampler = new DdimSampler(steps: 5, options: new SamplerOptions { Threshold = Thresholding.None });
        using var condition = Condition.OfLabels([3, 1]);

        var x = latent.Sample(sampler, [2, 4], seed: 6, condition, cancellationToken: TestContext.Current.CancellationToken);

        seen.Should().BeSameAs(condition);
        var latents = sampler.Sample(model, [2, 4], seed: 6, condition, cancellationToken: TestContext.Current.CancellationToken);
        var expected = latents.div(0.5).add(2).sub(1).div(3);
        RelativeError.OfSamples(x, expected).Should().BeLessThan(1e-6);
        LiveTensors.Change(() => latent.Sample(sampler, [2, 4], seed: 6, condition, cancellationToken: TestContext.Current.CancellationToken).Dispose()).Should().Be(0);
    }

    [Fact]
    public void Encoding_and_decoding_undo_each_other()
    {
        using var scope = NewDisposeScope();
        var model = new DelegateDenoiser((x, _) => x.clone()).On(Runs.Schedule);
        var latent = new LatentDiffusion(new AffineAutoencoder(), model, new LatentScaling(0.5, 2.0));
        using var generator = new Generator(2);
        var x = randn(3, 2);

        RelativeError.OfSamples(latent.Decode(latent.Encode(x)), x).Should().BeLessThan(1e-5);
        RelativeError.OfSamples(latent.Encode(x, generator), latent.Encode(x)).Should().BeGreaterThan(0.01);
        LiveTensors.Change(() => latent.Decode(x).Dispose()).Should().Be(0);
        LiveTensors.Change(() => latent.Encode(x).Dispose()).Should().Be(0);
    }

    [Fact]
    public void A_denoiser_trains_on_latents_and_no_tensors_stay()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        var latents = new LatentDataset(new Points(13), new AffineAutoencoder(), seed: 1);
        trainer.Run(latents);
        trainer.Step.Should().Be(20);

        LiveTensors.Change(() => latents.Load([1, 2, 3]).Dispose()).Should().Be(0);
        LiveTensors.Change(() => latents.EncodeAll(cancellationToken: TestContext.Current.CancellationToken)).Should().Be(0);
    }

    [Fact]
    public void An_empty_data_set_is_refused()
        => FluentActions.Invoking(() => new LatentDataset(new Points(0), new AffineAutoencoder()))
            .Should().Throw<ArgumentException>().WithMessage("*at least one sample*0*");

    /// <summary>20 points, with their index as the label.</summary>
    private sealed class Labelled : IDataset
    {
        private readonly Points _points = new(20);

        public long Count => _points.Count;

        public IReadOnlyList<long> SampleShape => _points.SampleShape;

        public Batch Load(ReadOnlySpan<long> indices) => new(_points.Load(indices).Samples, Condition.OfLabels(indices));
    }
}
