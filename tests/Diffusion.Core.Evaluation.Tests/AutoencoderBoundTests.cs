using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

/// <summary>
/// x = W z + b + s eps with orthogonal columns w_j: the posterior is a diagonal Gaussian of variances 1 / (1 + |w_j|^2 / s^2), and log p(x) is
/// known.
/// </summary>
public class AutoencoderBoundTests
{
    private const double Scale = 0.6;
    private static readonly double[,] Weights = { { 1.2, 0.5 }, { -0.8, 0.75 }, { 0.3, 0.0 } };
    private static readonly double[] Bias = [0.1, -0.4, 0.7];
    private static readonly double[][] Data = [[0.5, 1.0, -0.2], [-2.0, 0.3, 0.9]];

    [Fact]
    public void The_bounds_of_the_true_posterior_are_the_likelihood()
    {
        using var scope = NewDisposeScope();
        using var vae = LinearGaussian(inflation: 1.0);
        var x = Batch();
        var expected = tensor(Data.Select(LogLikelihood).ToArray());
        using var generator = new Generator(1);

        // Every weight p(x, z) / q(z | x) is p(x), however few are drawn.
        var weighted = AutoencoderBound.ImportanceWeighted(vae, Reconstruction.Gaussian(Scale), x, 3, generator);
        RelativeError.OfSamples(weighted, expected).Should().BeLessThan(1e-12);
        var evidence = Evidence(vae, x, generator);
        RelativeError.OfSamples(evidence, expected).Should().BeLessThan(0.005);
    }

    [Fact]
    public void The_evidence_bound_of_a_wrong_posterior_is_its_closed_form_and_importance_weights_close_the_gap()
    {
        using var scope = NewDisposeScope();
        const double Inflation = 2.0;
        using var vae = LinearGaussian(Inflation);
        var x = Batch();
        using var generator = new Generator(2);

        var evidence = Evidence(vae, x, generator);
        var weighted = Mean(AutoencoderBound.ImportanceWeighted(vae, Reconstruction.Gaussian(Scale), Copies(x, 200), 200, generator));

        // The gap is KL(q || p(z | x)): two features, each of a variance too large by one factor.
        var gap = 2 * 0.5 * (Inflation - 1.0 - Math.Log(Inflation));
        var likelihood = tensor(Data.Select(LogLikelihood).ToArray());
        RelativeError.OfSamples(evidence, likelihood.sub(gap)).Should().BeLessThan(0.01);
        RelativeError.OfSamples(weighted, likelihood).Should().BeLessThan(0.005);
        gap.Should().BeGreaterThan(0.3);
    }

    [Fact]
    public void Draws_of_a_generator_can_be_made_again_and_leave_no_tensors()
    {
        using var vae = LinearGaussian(2.0);
        using var x = Batch();
        double Once()
        {
            using var generator = new Generator(5);
            using var bound = AutoencoderBound.ImportanceWeighted(vae, Reconstruction.Gaussian(Scale), x, 4, generator);
            using var sum = bound.sum();
            return sum.item<double>();
        }

        Once().Should().Be(Once());
        LiveTensors.Change(() => Once()).Should().Be(0);
        LiveTensors.Change(() => AutoencoderBound.Evidence(vae, Reconstruction.Gaussian(Scale), x).Dispose()).Should().Be(0);
    }

    [Fact]
    public void A_code_without_noise_is_refused()
    {
        using var autoencoder = new Autoencoder(new MlpBody { SampleShape = [3] });
        using var x = zeros(1, 3);

        FluentActions.Invoking(() => AutoencoderBound.Evidence(autoencoder, Reconstruction.Gaussian(), x))
            .Should().Throw<ArgumentException>().WithMessage("*DiagonalGaussian*LatentPoint*");
    }

    /// <summary>The mean over many draws, made as many copies of the data.</summary>
    private static Tensor Evidence(Vae vae, Tensor x, Generator generator)
        => Mean(AutoencoderBound.Evidence(vae, Reconstruction.Gaussian(Scale), Copies(x, 20_000), 2, generator));

    private static Tensor Copies(Tensor x, int count) => x.unsqueeze(0).expand(count, -1, -1).reshape(-1, 3);

    private static Tensor Mean(Tensor bounds) => bounds.view(-1, 2).mean([0L]);

    private static Tensor Batch() => tensor(Data.SelectMany(row => row).ToArray()).view(2, 3);

    private static double Column(int j, Func<int, double> other) => Enumerable.Range(0, 3).Sum(i => Weights[i, j] * other(i));

    /// <summary>log N(x; b, W W^T + s^2), with the determinant and the inverse that orthogonal columns give.</summary>
    private static double LogLikelihood(double[] x)
    {
        double[] centred = [.. x.Zip(Bias, (a, b) => a - b)];
        var (determinant, square) = (3 * Math.Log(Scale * Scale), centred.Sum(value => value * value));
        for (var j = 0; j < 2; j++)
        {
            var length = Column(j, i => Weights[i, j]);
            determinant += Math.Log(1.0 + (length / (Scale * Scale)));
            square -= Math.Pow(Column(j, i => centred[i]), 2) / (length + (Scale * Scale));
        }

        return -0.5 * ((3 * Math.Log(2 * Math.PI)) + determinant + (square / (Scale * Scale)));
    }

    private static Vae LinearGaussian(double inflation)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        Column(0, i => Weights[i, 1]).Should().BeApproximately(0.0, 1e-15, "the columns must be orthogonal");
        var vae = new Vae(new Mlp([3], [], [2]), new Mlp([3], [], [2]), new Mlp([2], [], [3]));
        vae.to(ScalarType.Float64);
        var state = vae.state_dict();
        var weights = tensor(Weights);
        var bias = tensor(Bias);
        var variances = tensor(Enumerable.Range(0, 2).Select(j => 1.0 / (1.0 + (Column(j, i => Weights[i, j]) / (Scale * Scale)))).ToArray());
        var backward = weights.t().mul(variances.unsqueeze(1)).div(Scale * Scale);
        state["decoder.linear_out.weight"].copy_(weights);
        state["decoder.linear_out.bias"].copy_(bias);
        state["mean_encoder.linear_out.weight"].copy_(backward);
        state["mean_encoder.linear_out.bias"].copy_(backward.matmul(bias.unsqueeze(1)).squeeze(1).neg());
        state["log_variance_encoder.linear_out.weight"].fill_(0.0);
        state["log_variance_encoder.linear_out.bias"].copy_(variances.mul(inflation).log());
        return vae;
    }
}
