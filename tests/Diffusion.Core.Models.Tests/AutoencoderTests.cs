using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class AutoencoderTests
{
    private static readonly ConvolutionalBody Images = new()
    {
        Channels = 2,
        Widths = [4, 8],
        LatentChannels = 3,
        Groups = 2,
        EncoderAttentionLevels = [1],
        DecoderAttentionLevels = [0],
    };

    private static readonly MlpBody Vectors = new() { SampleShape = [2, 4, 6], Hidden = [7, 5], LatentFeatures = 3, Activation = Activation.Silu };

    public static TheoryData<string> Networks =>
        ["vectors", "images", "vae of vectors", "vae of images", "two encoders", "two encoders of images", "kl", "vq", "vq with averages"];

    [Theory]
    [MemberData(nameof(Networks))]
    public void A_batch_gives_what_its_samples_give_alone(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Create(name);
        using var inference = network.BeginInference();
        var x = randn(3, 2, 4, 6);

        var together = network.call(x);
        var alone = cat([network.call(x.narrow(0, 0, 1)), network.call(x.narrow(0, 1, 1)), network.call(x.narrow(0, 2, 1))]);

        RelativeError.OfSamples(together, alone).Should().BeLessThan(2e-5);
        together.shape.Should().Equal(x.shape);
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Weights_survive_a_file(string name)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = Create(name);
        using var other = Create(name, seed: 2);
        using var inference = network.BeginInference();
        using var otherInference = other.BeginInference();
        var x = randn(2, 2, 4, 6);
        RelativeError.OfSamples(other.call(x), network.call(x)).Should().BeGreaterThan(1e-3);

        ModuleWeights.Save(network, folder.File("weights.safetensors"));
        ModuleWeights.Load(other, folder.File("weights.safetensors"));

        RelativeError.OfSamples(other.call(x), network.call(x)).Should().Be(0.0);
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Gradients_are_those_of_finite_differences(string name)
    {
        using var scope = NewDisposeScope();
        using var network = (AutoencodingNetwork)Create(name).to(ScalarType.Float64);
        var x = randn(2, 2, 4, 6, dtype: ScalarType.Float64, requires_grad: true);
        var weights = randn(2, 2, 4, 6, dtype: ScalarType.Float64);
        using var sample = network.Encode(x);
        var noise = randn_like(sample.Mode);

        // A codebook is not continuous, and passes gradients on that are not its own: what stands around it is looked at alone.
        Tensor Loss()
        {
            using var code = network.Encode(x);
            var latent = code.Sample(noise);
            var output = network is VQModel quantized ? quantized.DecodeQuantized(latent) : network.Decode(latent);
            var loss = output.mul(weights).sum();
            return code is DiagonalGaussian gaussian ? loss.add(gaussian.Kl().sum()) : loss;
        }

        var leaves = network.named_parameters().Where(pair => !pair.name.StartsWith("quantize", StringComparison.Ordinal)).Select(pair => (Tensor)pair.parameter);
        GradientCheck.LargestError(Loss, leaves.Append(x)).Should().BeLessThan(2e-6);
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Training_passes_leave_no_tensors(string name)
    {
        using var network = Create(name);
        using var x = randn(2, 2, 4, 6);
        void Pass()
        {
            using var scope = NewDisposeScope();
            using var code = network.Encode(x);
            network.Decode(code.Sample()).square().mean().backward();
        }

        Pass();
        LiveTensors.Change(Pass).Should().Be(0);
        LiveTensors.Change(() => network.call(x).Dispose()).Should().Be(0);
        LiveTensors.Change(() => network.Encode(x).Dispose()).Should().Be(0);
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Bfloat16_is_close_to_float32(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Create(name);
        using var inference = network.BeginInference();
        var x = randn(2, 2, 4, 6).to(ScalarType.BFloat16).to(ScalarType.Float32);
        using var exact = network.Encode(x);
        var decoded = network is VQModel full ? full.DecodeQuantized(exact.Mode) : network.Decode(exact.Mode);

        network.to(ScalarType.BFloat16);
        using var code = network.Encode(x.to(ScalarType.BFloat16));
        var latent = exact.Mode.to(ScalarType.BFloat16);
        var output = network is VQModel half ? half.DecodeQuantized(latent) : network.Decode(latent);

        // Numbers of 8 bits through a dozen layers of random weights; another network would be off by 1.
        code.Mode.dtype.Should().Be(ScalarType.BFloat16);
        RelativeError.OfSamples(code.Mode, exact.Mode).Should().BeLessThan(0.1);
        RelativeError.OfSamples(output, decoded).Should().BeLessThan(0.1);
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Inputs_that_do_not_fit_are_refused(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Create(name);

        FluentActions.Invoking(() => network.Encode(zeros(2, 3, 4, 6))).Should().Throw<ArgumentException>().WithMessage("*2*[2, 3, 4, 6]*");
        FluentActions.Invoking(() => network.Encode(zeros([2, 2, 4, 6], ScalarType.Float64))).Should().Throw<ArgumentException>().WithMessage("*Float32*Float64*");
        FluentActions.Invoking(() => network.Decode(zeros(2, 5))).Should().Throw<ArgumentException>().WithMessage("*[2, 5]*");
    }

    [Fact]
    public void Images_smaller_than_the_reduction_are_refused()
    {
        using var network = Create("kl");
        using var x = zeros(1, 2, 1, 4);

        FluentActions.Invoking(() => network.Encode(x)).Should().Throw<ArgumentException>().WithMessage("*at least 2 pixels*[1, 2, 1, 4]*");
    }

    [Fact]
    public void Options_that_do_not_fit_are_refused()
    {
        static void Refused(ConvolutionalBody body, string message)
            => FluentActions.Invoking(() => new Autoencoder(body)).Should().Throw<ArgumentException>().WithMessage(message);

        Refused(Images with { Widths = [] }, "*Widths.Count*0*");
        Refused(Images with { Widths = [4, 5] }, "*2 groups*5*");
        Refused(Images with { EncoderAttentionLevels = [2] }, "*attention level*[0, 1]*2*");
        Refused(Images with { LayersPerBlock = 0 }, "*LayersPerBlock*at least 1*4, 8*");
        Refused(Images with { LatentChannels = 0 }, "*LatentChannels*0*");
        FluentActions.Invoking(() => new VQModel(new() { Body = Images, SpatialNorm = true, CodeWidth = 4 }))
            .Should().Throw<ArgumentException>().WithMessage("*3 latent channels*4*");
        FluentActions.Invoking(() => new VQModel(new() { Body = Images, SpatialNorm = true }))
            .Should().Throw<ArgumentException>().WithMessage("*multiples of 32*4*");
        FluentActions.Invoking(() => new AutoencoderKL(new() { Body = Images, LatentsMean = [0.0] }))
            .Should().Throw<ArgumentException>().WithMessage("*3 latent channels*1*");
        FluentActions.Invoking(() => new Vae(new() { Body = Vectors with { Hidden = [0] } })).Should().Throw<ArgumentException>().WithMessage("*hidden*0*");
    }

    [Fact]
    public void Scale_and_shift_are_those_of_the_options()
    {
        using var plain = new AutoencoderKL(new() { Body = Images, ScalingFactor = 0.5, ShiftFactor = 0.25 });
        using var channels = new AutoencoderKL(new() { Body = Images, ScalingFactor = 0.5, LatentsMean = [1, 2, 3], LatentsStd = [2, 4, 0.5] });

        plain.Scaling.Should().Be(new LatentScaling(0.5, 0.25));
        channels.Scaling.Should().Be(new LatentScaling([0.25, 0.125, 1.0], [1, 2, 3]));
    }

    [Fact]
    public void The_mean_and_the_variance_of_two_encoders_share_nothing()
    {
        using var scope = NewDisposeScope();
        using var network = (Vae)Create("two encoders");
        using var code = network.Encode(randn(2, 2, 4, 6));

        code.Mean.sum().backward();

        network.named_parameters().Where(pair => pair.parameter.grad is not null).Should().OnlyContain(pair => pair.name.StartsWith("mean_encoder."));
        network.named_parameters().Count(pair => pair.name.StartsWith("log_variance_encoder.", StringComparison.Ordinal)).Should().Be(6);
    }

    [Fact]
    public void Any_modules_make_an_autoencoder()
    {
        using var scope = NewDisposeScope();
        using var network = new Vae(new Mlp([5], [], [4]), new Mlp([2], [3], [5], Activation.GeluTanh));
        using var code = network.Encode(randn(7, 5));

        code.Mean.shape.Should().Equal(7, 2);
        network.Decode(code.Sample()).shape.Should().Equal(7, 5);
        network.state_dict().Keys.Should().Contain(["encoder.linear_out.weight", "decoder.layers.0.proj.bias"]);
    }

    [Fact]
    public void Parameter_counts_are_those_that_are_documented()
    {
        var body = new MlpBody { SampleShape = [1, 28, 28] };
        using var one = new Vae(new() { Body = body });
        using var two = new Vae(new() { Body = body, TwoEncoders = true });

        ModuleWeights.Count(one).Should().Be(652_824);
        ModuleWeights.Count(two).Should().Be(966_824);
    }

    [Fact]
    public void The_autoencoder_of_stable_diffusion_has_83653863_parameters()
    {
        // The count is a quadratic function of a factor of all widths, so that three small networks tell that of the large one.
        static double Count(int factor)
        {
            using var network = new AutoencoderKL(new() { Body = new() { Widths = [factor, 2 * factor, 4 * factor, 4 * factor], LayersPerBlock = 2, Groups = 1 } });
            return ModuleWeights.Count(network);
        }

        var (one, two, three) = (Count(1), Count(2), Count(3));
        var second = three - (2 * two) + one;
        const double Steps = 128 - 1;

        (one + (Steps * (two - one)) + (Steps * (Steps - 1) / 2 * second)).Should().Be(83_653_863);
    }

    private static AutoencodingNetwork Create(string name, int seed = 1)
    {
        random.manual_seed(seed);
        return name switch
        {
            "vectors" => new Autoencoder(Vectors),
            "images" => new Autoencoder(Images),
            "vae of vectors" => new Vae(new() { Body = Vectors }),
            "vae of images" => new Vae(new() { Body = Images }),
            "two encoders" => new Vae(new() { Body = Vectors, TwoEncoders = true }),
            "two encoders of images" => new Vae(new() { Body = Images, TwoEncoders = true }),
            "kl" => new AutoencoderKL(new() { Body = Images }),
            "vq" => new VQModel(new() { Body = Images, Codes = 9, CodeWidth = 5 }),
            "vq with averages" => new VQModel(new() { Body = Images, Codes = 9, AverageDecay = 0.9 }),
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, "unknown"),
        };
    }
}
