using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class TraceEstimatorTests
{
    private static readonly LogSigmaSchedule Exploding = new(preservesVariance: false);

    // A Jacobian with much beside its diagonal.
    private static readonly double[,] Jacobian = { { 0.5, 0.3, -0.2 }, { -0.4, 0.1, 0.25 }, { 0.35, -0.15, -0.3 } };

    [Fact]
    public void The_exact_trace_has_the_vectors_of_the_axes()
    {
        using var scope = NewDisposeScope();

        var vectors = TraceEstimator.Exact.Vectors(zeros([2, 1, 3], dtype: ScalarType.Float32), new LikelihoodRequest());

        vectors.Should().HaveCount(3);
        for (var k = 0; k < 3; k++)
        {
            vectors[k].shape.Should().Equal(2, 1, 3);
            vectors[k].dtype.Should().Be(ScalarType.Float32);
            vectors[k].Values().Should().Equal(Enumerable.Range(0, 6).Select(i => i % 3 == k ? 1.0 : 0.0));
        }
    }

    [Theory]
    [InlineData("rademacher", 1)]
    [InlineData("rademacher", 4)]
    [InlineData("gaussian", 1)]
    [InlineData("gaussian", 4)]
    public void Hutchinsons_vectors_make_the_identity_on_average(string name, int vectors)
    {
        using var scope = NewDisposeScope();
        const int Samples = 20_000;

        var drawn = Estimator(name, vectors).Vectors(zeros([Samples, 3], dtype: ScalarType.Float64), new LikelihoodRequest { Seed = 5 });

        var sum = zeros([3, 3], dtype: ScalarType.Float64);
        foreach (var vector in drawn)
            sum.add_(vector.t().mm(vector).mul(1.0 / Samples));
        drawn.Should().HaveCount(vectors);

        // Five standard errors of a mean of products of two such entries.
        sum.ShouldBeClose(eye(3, dtype: ScalarType.Float64), 5.0 * Math.Sqrt(2.0 / Samples), "sum of v v^T");
        if (name == "rademacher")
            drawn[0].Values().Should().OnlyContain(entry => Math.Abs(Math.Abs(entry) - (1.0 / Math.Sqrt(vectors))) < 1e-15);
    }

    [Theory]
    [InlineData("rademacher")]
    [InlineData("gaussian")]
    public void Hutchinsons_likelihood_is_the_exact_one_on_average(string name)
    {
        using var scope = NewDisposeScope();
        const int Samples = 4000;
        var samples = tensor(new[] { 0.4, -0.7, 0.2 }).reshape(1, 3).repeat(Samples, 1);
        var exact = LogDensity(TraceEstimator.Exact, samples.narrow(0, 0, 1))[0];

        var estimates = LogDensity(Estimator(name, 1), samples);

        var error = estimates.Average() - exact;
        var deviation = Math.Sqrt(estimates.Sum(value => Math.Pow(value - estimates.Average(), 2.0)) / (Samples - 1));
        deviation.Should().BeGreaterThan(0.1);
        Math.Abs(error).Should().BeLessThan(4.0 * deviation / Math.Sqrt(Samples));
    }

    [Fact]
    public void A_sample_has_its_vectors_in_any_batch_and_they_are_apart_from_one_another()
    {
        using var scope = NewDisposeScope();
        var estimator = TraceEstimator.Gaussian(2);

        var batch = estimator.Vectors(zeros([3, 4], dtype: ScalarType.Float64), new LikelihoodRequest { Seed = 1, FirstSample = 10 });
        var alone = estimator.Vectors(zeros([1, 4], dtype: ScalarType.Float64), new LikelihoodRequest { Seed = 1, FirstSample = 12 });

        batch[0].narrow(0, 2, 1).ShouldBeIdentical(alone[0], "first vector");
        batch[1].narrow(0, 2, 1).ShouldBeIdentical(alone[1], "second vector");
        batch[0].Values().Should().NotEqual(batch[1].Values());
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void No_vectors_at_all_are_refused()
    {
        FluentActions.Invoking(() => TraceEstimator.Rademacher(0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TraceEstimator.Gaussian(-1)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static TraceEstimator Estimator(string name, int vectors)
        => name == "gaussian" ? TraceEstimator.Gaussian(vectors) : TraceEstimator.Rademacher(vectors);

    /// <summary>The log density under a network whose x_0 is linear in x_t.</summary>
    private static double[] LogDensity(TraceEstimator trace, Tensor samples)
    {
        var matrix = tensor(Jacobian.Cast<double>().ToArray()).reshape(3, 3);
        var options = new ProbabilityFlowOptions
        {
            Solver = new RungeKutta(ButcherTableau.RungeKutta4, 8),
            Trace = trace,
            MinTime = Math.Log(0.5),
            MaxTime = Math.Log(2.0),
        };
        using var model = new DelegateDenoiser((x, _) => x.mm(matrix)).On(Exploding, Prediction.X0);
        return new ProbabilityFlowLikelihood(options).LogDensity(model, samples, new LikelihoodRequest { Seed = 3 }).Values();
    }
}
