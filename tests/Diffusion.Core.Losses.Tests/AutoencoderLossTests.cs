using Diffusion.Core.Testing;
using MathNet.Numerics;
using MathNet.Numerics.Distributions;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class AutoencoderLossTests
{
    private static readonly double[] Data = [0.0, 1.0, 0.3, 0.9, -0.4, 2.5];

    private static readonly double[] Outputs = [-0.8, 3.0, 0.31, -40.0, 0.0, 60.0];

    private static Dictionary<string, (Reconstruction Loss, Func<double, double, double> Value)> Reconstructions { get; } = new()
    {
        ["l1"] = (Reconstruction.L1, (output, x) => Math.Abs(output - x)),
        ["l2"] = (Reconstruction.L2, (output, x) => Math.Pow(output - x, 2.0)),
        ["huber"] = (Reconstruction.Of(Distance.Huber()), (output, x) =>
            Math.Abs(output - x) < 1.0 ? 0.5 * Math.Pow(output - x, 2.0) : Math.Abs(output - x) - 0.5),
        ["gaussian"] = (Reconstruction.Gaussian(0.3), (output, x) => -Normal.PDFLn(output, 0.3, x)),
        ["bernoulli"] = (Reconstruction.Bernoulli, (output, x) =>
            (x * Math.Log(1.0 + Math.Exp(-output))) + ((1.0 - x) * (output + Math.Log(1.0 + Math.Exp(-output))))),
    };

    public static TheoryData<string> Names => [.. Reconstructions.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_reconstruction_has_the_loss_of_the_formula(string name)
    {
        using var scope = torch.NewDisposeScope();
        var (loss, value) = Reconstructions[name];

        var result = loss.Of(Column(Outputs), Column(Data)).data<double>().ToArray();

        loss.Name.Should().Be(name);
        for (var i = 0; i < Data.Length; i++)
        {
            var expected = value(Outputs[i], Data[i]);
            result[i]
                .Should().BeApproximately(expected, 1e-13 * Math.Max(1.0, Math.Abs(expected)), $"x = {Data[i]}, output = {Outputs[i]}");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_gradient_of_a_reconstruction_is_that_of_finite_differences(string name)
    {
        using var scope = torch.NewDisposeScope();
        var (loss, value) = Reconstructions[name];
        double[] outputs = [-0.7, 0.4, 2.2], x = [0.2, 0.9, 0.0];
        var output = Column(outputs).requires_grad_();

        loss.Of(output, Column(x)).sum().backward();

        var gradient = output.grad!.data<double>().ToArray();
        for (var i = 0; i < outputs.Length; i++)
            gradient[i].Should().BeApproximately((value(outputs[i] + 1e-5, x[i]) - value(outputs[i] - 1e-5, x[i])) / 2e-5, 1e-7);
    }

    [Fact]
    public void Logits_of_any_size_have_a_finite_cross_entropy_and_gradient()
    {
        using var scope = torch.NewDisposeScope();
        var output = torch.tensor(new[] { -1e4f, 1e4f, -1e4f, 1e4f, 0f }).reshape(5, 1).requires_grad_();
        var x = torch.tensor(new[] { 0f, 1f, 1f, 0f, 0.5f }).reshape(5, 1);

        var loss = Reconstruction.Bernoulli.Of(output, x);
        loss.sum().backward();

        loss.data<float>().ToArray().Should().Equal(0f, 0f, 1e4f, 1e4f, MathF.Log(2f));
        output.grad!.data<float>().ToArray().Should().Equal(0f, 0f, -1f, 1f, 0f);
    }

    [Fact]
    public void A_scale_that_is_learned_is_a_density_too_and_best_at_the_true_error()
    {
        using var scope = torch.NewDisposeScope();
        var logVariance = torch.zeros([1], dtype: torch.ScalarType.Float64).add(2.0 * Math.Log(0.5)).requires_grad_();
        var (x, output) = (Column([0.5, -0.5, 0.5, -0.5]), Column([0.0, 0.0, 0.0, 0.0]));

        var shared = Reconstruction.Gaussian(logVariance).Of(output, x);
        shared.sum().backward();
        var apart = Reconstruction.LearnedGaussian.Of(torch.cat([output, torch.full_like(output, 2.0 * Math.Log(0.5))], 1), x);

        // The error is .5 everywhere, as the scale says: no other scale does better.
        logVariance.grad!.item<double>().Should().BeApproximately(0.0, 1e-14);
        apart.ShouldBeClose(shared.detach(), 1e-15, "one scale for each element");
        shared.data<double>().ToArray().Should().OnlyContain(value => Math.Abs(value + Normal.PDFLn(0.0, 0.5, 0.5)) < 1e-14);
    }

    [Theory]
    [InlineData(0.0, 0.0)]
    [InlineData(1.3, -0.7)]
    [InlineData(-0.2, 1.1)]
    [InlineData(0.0, -6.0)]
    public void The_divergence_from_the_standard_normal_is_the_integral_of_its_definition(double mean, double logVariance)
    {
        using var scope = torch.NewDisposeScope();
        var std = Math.Exp(0.5 * logVariance);
        double Integrand(double z) => Normal.PDF(mean, std, z) * (Normal.PDFLn(mean, std, z) - Normal.PDFLn(0.0, 1.0, z));

        var kl = GaussianMath.KlToStandard(Column([mean]), Column([logVariance]));

        kl.item<double>()
            .Should().BeApproximately(Integrate.GaussLegendre(Integrand, mean - (14.0 * std), mean + (14.0 * std), 512), 1e-12);
        GaussianMath.Kl(Column([mean]), Column([logVariance]), Column([0.0]), Column([0.0])).item<double>()
            .Should().BeApproximately(kl.item<double>(), 1e-14);
    }

    [Fact]
    public void The_divergence_of_two_gaussians_is_the_integral_of_its_definition()
    {
        using var scope = torch.NewDisposeScope();
        double Integrand(double z) => Normal.PDF(0.4, 0.7, z) * (Normal.PDFLn(0.4, 0.7, z) - Normal.PDFLn(-0.3, 1.2, z));

        var kl = GaussianMath.Kl(Column([0.4]), Column([2.0 * Math.Log(0.7)]), Column([-0.3]), Column([2.0 * Math.Log(1.2)]))
            .item<double>();

        kl.Should().BeApproximately(Integrate.GaussLegendre(Integrand, -12.0, 12.0, 512), 1e-12);
    }

    [Fact]
    public void The_parts_are_sums_over_a_sample_and_the_loss_is_theirs()
    {
        using var scope = torch.NewDisposeScope();
        var (x, output, mean, logVariance) = Batch();

        using var terms = new AutoencoderLoss(Reconstruction.L2, beta: 0.25).Evaluate(x, output, mean, logVariance);

        terms.Names.Should().Equal("kl", "loss", "reconstruction");
        terms["reconstruction"].ShouldBeClose(output.sub(x).square().sum([1L, 2L]), 1e-14, "reconstruction");
        terms["kl"].ShouldBeClose(GaussianMath.KlToStandard(mean, logVariance).sum([1L, 2L]), 1e-14, "kl");
        terms.Loss.ShouldBeClose(terms["reconstruction"].add(terms["kl"].mul(0.25)), 1e-14, "loss");
        terms["kl"].requires_grad.Should().BeFalse();
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    [InlineData(100.0)]
    public void Free_bits_bound_the_mean_divergence_of_each_channel_from_below(double freeBits)
    {
        using var scope = torch.NewDisposeScope();
        var (x, output, mean, logVariance) = Batch();
        var channels = GaussianMath.KlToStandard(mean, logVariance).sum(2L).mean([0L]).data<double>().ToArray();
        channels.Should().Contain(value => value < 1.0).And.Contain(value => value > 1.0);

        using var terms = new AutoencoderLoss(Reconstruction.L2, beta: 2.0, freeBits: freeBits).Evaluate(x, output, mean, logVariance);

        var expected = terms["reconstruction"].mean().item<double>() + (2.0 * channels.Sum(value => Math.Max(value, freeBits)));
        terms.Loss.mean().item<double>().Should().BeApproximately(expected, 1e-12);
        terms["kl"].mean().item<double>().Should().BeApproximately(channels.Sum(), 1e-12);
    }

    [Fact]
    public void A_channel_below_its_free_bits_has_no_gradient_and_the_others_all_of_it()
    {
        using var scope = torch.NewDisposeScope();
        var (x, output, mean, logVariance) = Batch();
        torch.Tensor Gradient(double freeBits)
        {
            var variable = mean.clone().requires_grad_();
            using var terms = new AutoencoderLoss(Reconstruction.L2, freeBits: freeBits).Evaluate(x, output, variable, logVariance);
            return torch.autograd.grad([terms.Loss.mean()], [variable])[0];
        }

        var channels = GaussianMath.KlToStandard(mean, logVariance).sum(2L).mean([0L]).data<double>().ToArray();
        var (free, full) = (Gradient(1.0), Gradient(0.0));

        for (var c = 0; c < channels.Length; c++)
        {
            var expected = full.narrow(1, c, 1).mul(channels[c] > 1.0 ? 1.0 : 0.0);
            free.narrow(1, c, 1).ShouldBeClose(expected, 1e-15, $"channel {c}");
        }
    }

    [Fact]
    public void The_gradient_is_that_of_finite_differences_and_nothing_is_left_behind()
    {
        using var scope = torch.NewDisposeScope();
        var (x, output, mean, logVariance) = Batch();
        var loss = new AutoencoderLoss(Reconstruction.Bernoulli, beta: 0.7);
        double Value(double shift)
        {
            using var inner = torch.NewDisposeScope();
            using var terms = loss.Evaluate(x, output, mean, logVariance.add(shift));
            return terms.Loss.mean().item<double>();
        }

        var variable = torch.zeros([1], dtype: torch.ScalarType.Float64).requires_grad_();
        using (var terms = loss.Evaluate(x, output, mean, logVariance.add(variable)))
            terms.Loss.mean().backward();

        variable.grad!.item<double>().Should().BeApproximately((Value(1e-5) - Value(-1e-5)) / 2e-5, 1e-7);
        LiveTensors.Change(() => loss.Evaluate(x, output, mean, logVariance).Dispose()).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        using var scope = torch.NewDisposeScope();
        var (x, output, mean, logVariance) = Batch();
        var loss = new AutoencoderLoss();
        FluentActions.Invoking(() => loss.Evaluate(x, output.narrow(1, 0, 1), mean, logVariance))
            .Should().Throw<ArgumentException>().WithMessage("*[4, 2, 3], got [4, 1, 3]*");
        FluentActions.Invoking(() => loss.Evaluate(x, output, mean, logVariance.narrow(1, 0, 1))).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => loss.Evaluate(x.narrow(0, 0, 3), output.narrow(0, 0, 3), mean, logVariance))
            .Should().Throw<ArgumentException>().WithMessage("*[B, C, ...]*");
        FluentActions.Invoking(() => Reconstruction.LearnedGaussian.Of(output, x))
            .Should().Throw<ArgumentException>().WithMessage("*[4, 4, 3], got [4, 2, 3]*");
        FluentActions.Invoking(() => new AutoencoderLoss(beta: -1.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new AutoencoderLoss(freeBits: double.NaN)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => Reconstruction.Gaussian(0.0)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static (torch.Tensor X, torch.Tensor Output, torch.Tensor Mean, torch.Tensor LogVariance) Batch()
    {
        using var generator = new torch.Generator(12);
        torch.Tensor Draw(params long[] shape) => torch.randn(shape, dtype: torch.ScalarType.Float64, generator: generator);

        // Channels that say more and more.
        var scale = torch.tensor(new[] { 0.1, 0.5, 1.0 }).reshape(1, 3, 1);
        return (Draw(4, 2, 3).sigmoid(), Draw(4, 2, 3), Draw(4, 3, 5).mul(scale), Draw(4, 3, 5).mul(scale));
    }

    private static torch.Tensor Column(double[] values) => torch.tensor(values).reshape(-1, 1);
}
