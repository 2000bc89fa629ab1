using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses.Tests;

public sealed class AutoencoderObjectiveTests
{
    private static readonly ConvolutionalBody Body = new()
    {
        Channels = 1,
        Widths = [4],
        Groups = 2,
        LatentChannels = 2,
        MiddleAttention = false,
    };

    [Fact]
    public void The_loss_of_a_network_is_that_of_what_it_says_of_the_draw_of_the_step()
    {
        using var scope = NewDisposeScope();
        using var vae = new Vae(new() { Body = Body });
        var loss = new AutoencoderLoss(Reconstruction.L2, beta: 0.5);
        var x = randn(3, 1, 4, 4);

        using var terms = Seeded(7, drawn => loss.Evaluate(vae, x, drawn));

        using var generator = new Generator(7);
        using var code = vae.Encode(x);
        using var expected = loss.Evaluate(x, vae.Decode(code.Sample(generator)), code.Mean, code.LogVariance);
        terms.Names.Should().Equal(expected.Names);
        foreach (var name in terms.Names)
            RelativeError.OfSamples(terms[name], expected[name]).Should().BeLessThan(1e-6, name);
        RelativeError.OfSamples(terms[AutoencoderLoss.KlName], code.Kl()).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void An_encoder_without_noise_has_no_divergence()
    {
        using var scope = NewDisposeScope();
        using var autoencoder = new Autoencoder(Body);
        var x = randn(3, 1, 4, 4);

        using var terms = new AutoencoderLoss(Reconstruction.L1).Evaluate(autoencoder, x);

        terms.Names.Should().Equal("loss", "reconstruction");
        RelativeError.OfSamples(terms.Loss, autoencoder.call(x).sub(x).abs().sum([1L, 2L, 3L])).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void The_loss_of_a_codebook_adds_its_own_term()
    {
        using var scope = NewDisposeScope();
        using var model = new VQModel(new() { Body = Body, Codes = 5 });
        var x = randn(3, 1, 4, 4);

        using var terms = new VectorQuantizationLoss(Reconstruction.L2, codebookWeight: 2.0).Evaluate(model, x);

        using var code = model.Encode(x);
        using var quantization = model.Quantize(code.Mode);
        var errors = model.call(x).sub(x).square().sum([1L, 2L, 3L]);
        // Both terms have the same value, one of them weighed by beta; the code has 2 x 4 x 4 dimensions.
        var expected = code.Mode.sub(quantization.Quantized).square().sum([1L, 2L, 3L]).mean().mul(1.0 + 0.25);
        RelativeError.OfSamples(terms.Loss, errors.add(expected.mul(2.0))).Should().BeLessThan(1e-6);
        RelativeError.OfSamples(terms["codebook"], expected.expand(3)).Should().BeLessThan(1e-6);
        terms.Loss.sum().backward();
        model.Quantizer.Codebook.grad!.abs().sum().item<float>().Should().BeGreaterThan(0f);
        model.named_parameters().First().parameter.grad!.abs().sum().item<float>().Should().BeGreaterThan(0f);
    }

    [Fact]
    public void A_code_whose_divergence_is_not_known_is_refused()
    {
        using var x = zeros(1, 2);
        using var autoencoder = new Uniform();

        LiveTensors.Change(() => FluentActions.Invoking(() => new AutoencoderLoss().Evaluate(autoencoder, x))
            .Should().Throw<ArgumentException>().WithMessage("*DiagonalGaussian or a LatentPoint*Box*")).Should().Be(0);
    }

    [Fact]
    public void An_autoencoder_without_a_codebook_is_refused_by_its_loss()
    {
        using var autoencoder = new Autoencoder(Body);
        using var x = zeros(1, 1, 4, 4);

        FluentActions.Invoking(() => new VectorQuantizationLoss().Evaluate(autoencoder, x))
            .Should().Throw<ArgumentException>().WithMessage("*codebook*Autoencoder*");
    }

    [Fact]
    public void Grey_is_the_probability_of_white()
    {
        using var scope = NewDisposeScope();
        var grey = tensor(new[] { -1f, -0.5f, 0f, 0.5f, 1f }).view(5, 1).expand(5, 20_000);
        using var generator = new Generator(3);

        var binary = DynamicBinarization.Draw(grey, generator);

        binary.mul(binary.sub(1)).abs().max().item<float>().Should().Be(0f);
        var shares = binary.mean([1L]).data<float>().ToArray();
        shares[0].Should().Be(0f);
        shares[4].Should().Be(1f);
        // Within four standard errors.
        shares[1..4].Should().Equal([0.25f, 0.5f, 0.75f], (actual, expected) => Math.Abs(actual - expected) < 0.0145f);
    }

    [Fact]
    public void Data_is_drawn_anew_by_the_generator_of_the_step()
    {
        using var scope = NewDisposeScope();
        using var autoencoder = new Autoencoder(Body);
        var loss = new DynamicBinarization(new AutoencoderLoss(Reconstruction.Bernoulli));
        var x = rand([3, 1, 4, 4]).sub(0.5);
        Tensor Of(ulong seed)
        {
            var terms = Seeded(seed, drawn => loss.Evaluate(autoencoder, x, drawn));
            return terms.Loss;
        }

        RelativeError.OfSamples(Of(1), Of(1)).Should().Be(0.0);
        RelativeError.OfSamples(Of(2), Of(1)).Should().BeGreaterThan(1e-3);
    }

    [Fact]
    public void Losses_leave_no_tensors_but_their_terms()
    {
        using var vae = new Vae(new() { Body = Body });
        using var model = new VQModel(new() { Body = Body, Codes = 5 });
        using var x = zeros(2, 1, 4, 4);

        LiveTensors.Change(() => new DynamicBinarization(new AutoencoderLoss()).Evaluate(vae, x).Dispose()).Should().Be(0);
        LiveTensors.Change(() => new VectorQuantizationLoss().Evaluate(model, x).Dispose()).Should().Be(0);
    }

    private static LossTerms Seeded(ulong seed, Func<Generator, LossTerms> evaluate)
    {
        using var generator = new Generator(seed);
        return evaluate(generator);
    }

    /// <summary>Codes of a kind that the loss does not know.</summary>
    private sealed class Uniform() : AutoencodingNetwork(nameof(Uniform))
    {
        public override ILatentDistribution Encode(Tensor x) => new Box(x.alias());

        public override Tensor Decode(Tensor z) => z.alias();
    }

    private sealed class Box(Tensor centre) : ILatentDistribution
    {
        public Tensor Mode => centre;

        public Tensor Sample(Generator? generator = null) => centre.add(0.5);

        public Tensor Sample(Tensor noise) => centre.add(noise);

        public void Dispose() => centre.Dispose();
    }
}
