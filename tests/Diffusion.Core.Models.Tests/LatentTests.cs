using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class LatentTests
{
    [Fact]
    public void The_divergence_from_the_standard_normal_is_its_closed_form()
    {
        using var scope = NewDisposeScope();
        double[] means = [0.3, -1.2, 0.0, 2.5];
        double[] logVariances = [-0.5, 0.7, 0.0, -3.0];
        using var code = new DiagonalGaussian(tensor(means).view(1, 4, 1), tensor(logVariances).view(1, 4, 1));

        var expected = means.Zip(logVariances, (m, v) => 0.5 * ((m * m) + Math.Exp(v) - 1.0 - v)).Sum();
        code.Kl().item<double>().Should().BeApproximately(expected, 1e-12);
    }

    [Fact]
    public void The_divergence_from_another_gaussian_is_the_mean_log_ratio()
    {
        using var scope = NewDisposeScope();
        using var p = new DiagonalGaussian(tensor(new[] { 0.4 }).view(1, 1), tensor(new[] { -0.6 }).view(1, 1));
        using var q = new DiagonalGaussian(tensor(new[] { -0.3 }).view(1, 1), tensor(new[] { 0.5 }).view(1, 1));

        // The integral of p log(p / q), by the trapezium rule, which converges at once for smooth functions that vanish at both ends.
        static double LogDensity(double x, double mean, double logVariance)
            => -0.5 * (Math.Log(2 * Math.PI) + logVariance + ((x - mean) * (x - mean) / Math.Exp(logVariance)));
        const double Step = 0.01;
        var integral = Enumerable.Range(-1200, 2401).Select(i => i * Step)
            .Sum(x => Step * Math.Exp(LogDensity(x, 0.4, -0.6)) * (LogDensity(x, 0.4, -0.6) - LogDensity(x, -0.3, 0.5)));

        p.Kl(q).item<double>().Should().BeApproximately(integral, 1e-10);
        p.Kl(p).item<double>().Should().Be(0.0);
    }

    [Fact]
    public void The_log_variance_is_clamped_and_has_no_gradient_beyond()
    {
        using var scope = NewDisposeScope();
        var moments = tensor(new[] { 1.0, 2, 3, -40, 0.5, 25 }).view(1, 6).requires_grad_();
        using var code = DiagonalGaussian.FromMoments(moments);

        code.LogVariance.sum().backward();

        code.Mean.data<double>().Should().Equal(1, 2, 3);
        code.LogVariance.data<double>().Should().Equal(-30, 0.5, 20);
        moments.grad!.data<double>().Should().Equal(0, 0, 0, 0, 1, 0);
    }

    [Fact]
    public void A_sample_is_the_mean_and_the_deviation_times_noise()
    {
        using var scope = NewDisposeScope();
        using var code = new DiagonalGaussian(tensor(new[] { 1.0, -2 }).view(1, 2), tensor(new[] { Math.Log(4.0), Math.Log(0.25) }).view(1, 2));

        code.Sample(tensor(new[] { 3.0, -1 }).view(1, 2)).data<double>().ToArray().Should().Equal([7.0, -2.5], (a, b) => Math.Abs(a - b) < 1e-14);
        FluentActions.Invoking(() => code.Sample(zeros(1, 3))).Should().Throw<ArgumentException>().WithMessage("*[1, 2]*[1, 3]*");
    }

    [Fact]
    public void A_sample_of_a_generator_can_be_drawn_again()
    {
        using var scope = NewDisposeScope();
        using var code = new DiagonalGaussian(randn(3, 4, 5), randn(3, 4, 5));
        Tensor Draw(ulong seed)
        {
            using var generator = new Generator(seed);
            return code.Sample(generator);
        }

        var first = Draw(7);
        random.manual_seed(99);

        RelativeError.OfSamples(Draw(7), first).Should().Be(0.0);
        RelativeError.OfSamples(Draw(8), first).Should().BeGreaterThan(0.1);
        using var normals = new Generator(7);
        RelativeError.OfSamples(code.Sample(randn([3, 4, 5], generator: normals)), first).Should().Be(0.0);
    }

    [Fact]
    public void Moments_of_an_odd_number_of_channels_are_refused()
    {
        using var moments = zeros(2, 3, 4);

        FluentActions.Invoking(() => DiagonalGaussian.FromMoments(moments)).Should().Throw<ArgumentException>().WithMessage("*even*[2, 3, 4]*");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Measured_scaling_gives_unit_variance_and_can_be_undone(bool perChannel)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(5);
        var latents = randn(6, 3, 4, 4, dtype: ScalarType.Float64).mul(tensor(new[] { 0.5, 2, 9 }).view(1, 3, 1, 1)).add(1.5);

        var scaling = (perChannel ? LatentScaling.MeasurePerChannel(latents) : LatentScaling.Measure(latents));
        var scaled = scaling.Apply(latents);

        scaling.Factors.Should().HaveCount(perChannel ? 3 : 1);
        foreach (var values in perChannel ? Enumerable.Range(0, 3).Select(channel => scaled.narrow(1, channel, 1)) : [scaled])
        {
            var mean = values.mean();
            values.sub(mean).square().sum().item<double>().Should().BeApproximately(values.numel() - 1, 1e-9);
            if (perChannel)
                mean.item<double>().Should().BeApproximately(0.0, 1e-12);
        }

        RelativeError.OfSamples(scaling.Invert(scaled), latents).Should().BeLessThan(1e-14);
        scaling.Shifts.All(shift => shift == 0.0).Should().Be(!perChannel);
    }

    [Fact]
    public void Scaling_refuses_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        var scaling = new LatentScaling([1.0, 2.0], [0.0, 1.0]);

        FluentActions.Invoking(() => scaling.Apply(zeros(1, 3, 2))).Should().Throw<ArgumentException>().WithMessage("*[B, 2, ...]*[1, 3, 2]*");
        FluentActions.Invoking(() => new LatentScaling([1.0], [])).Should().Throw<ArgumentException>().WithMessage("*1 factors*0 shifts*");
        FluentActions.Invoking(() => new LatentScaling(0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LatentScaling.Measure(ones(2, 3))).Should().Throw<ArgumentException>().WithMessage("*all the same*");
        FluentActions.Invoking(() => LatentScaling.Measure(ones(1, 1))).Should().Throw<ArgumentException>().WithMessage("*[1, 1]*");
        LiveTensors.Change(() => scaling.Apply(zeros(1, 2, 2)).Dispose()).Should().Be(1, "the zeros are in the scope");
    }
}
