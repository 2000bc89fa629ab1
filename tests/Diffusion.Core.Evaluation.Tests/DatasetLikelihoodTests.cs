using Diffusion.Core.Data;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class DatasetLikelihoodTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Linear(12, 0.01, 0.5);

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(100)]
    public void The_size_of_a_batch_does_not_matter(int batchSize)
    {
        var likelihood = new VariationalLikelihood { Clip = true, CheckSamples = false };

        var summary = Over(likelihood, new DatasetLikelihoodOptions { BatchSize = batchSize, Seed = 3 });
        var other = Over(likelihood, new DatasetLikelihoodOptions { BatchSize = 3, Seed = 3 });

        summary.PerSample.Should().HaveCount(7);
        summary.PerSample.Zip(other.PerSample)
            .Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) <= 1e-6 * Math.Abs(pair.Second));
        summary.PerSample.Should().NotEqual(Over(likelihood, new DatasetLikelihoodOptions { Seed = 4 }).PerSample);
    }

    [Fact]
    public void Mean_and_standard_error_are_those_of_the_samples_and_each_has_its_own_place()
    {
        using var scope = NewDisposeScope();

        var summary = Over(new Known(), new DatasetLikelihoodOptions { BatchSize = 3 });

        // Seven values 0..6: variance 28 / 6.
        summary.PerSample.Should().Equal(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0);
        summary.Mean.Should().Be(3.0);
        summary.StandardError.Should().BeApproximately(Math.Sqrt(28.0 / 6.0 / 7.0), 1e-14);
    }

    [Fact]
    public void Progress_is_told_after_each_batch_of_the_samples_wanted()
    {
        using var scope = NewDisposeScope();
        var reports = new List<LikelihoodProgress>();

        var summary = new Known().Over(
            new FunctionDenoiser(x => x.clone()).On(Schedule),
            Data(),
            new DatasetLikelihoodOptions { BatchSize = 2, MaxSamples = 5 },
            new Direct(reports.Add),
            TestContext.Current.CancellationToken);

        reports.Select(report => (report.Samples, report.Total, report.Mean)).Should().Equal((2, 5, 0.5), (4, 5, 1.5), (5, 5, 2.0));
        reports[^1].StandardError.Should().Be(summary.StandardError);
        Over(new Known(), new DatasetLikelihoodOptions { MaxSamples = 1 }).StandardError.Should().Be(double.NaN);
    }

    [Fact]
    public void The_network_is_in_evaluation_mode_without_gradients_and_sees_the_condition()
    {
        using var scope = NewDisposeScope();
        var labels = new List<long>();
        var denoiser = new FunctionDenoiser((x, _, condition) =>
        {
            labels.AddRange(condition!.Labels!.data<long>().ToArray());
            return x.clone();
        });
        using var model = denoiser.On(DiscreteSchedule.FromBetas([0.5]));
        var likelihood = new VariationalLikelihood { Clip = true, CheckSamples = false };

        var options = new DatasetLikelihoodOptions { BatchSize = 4 };
        likelihood.Over(model, Data(labelled: true), options, null, TestContext.Current.CancellationToken);

        denoiser.Misused.Should().BeFalse();
        denoiser.Ended.Should().Be(denoiser.Begun);
        labels.Should().Equal(0, 1, 2, 3, 4, 5, 6);
    }

    [Fact]
    public void The_bound_of_bytes_and_the_dequantised_density_agree_for_the_exact_model()
    {
        using var scope = NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var generator = new Generator(2);

        // Gaussian bytes: their entropy is that of the density, log2 of the bin's width apart.
        var data = randn([300, 1], dtype: ScalarType.Float64, generator: generator).mul(0.2);
        var bytes = data.add(1.0).mul(127.5).round().div(127.5).sub(1.0);
        using var model = MixtureDenoiser.Gaussian(schedule, Prediction.Epsilon, 0.0, 0.2).Model;
        var options = new ProbabilityFlowOptions { Trace = TraceEstimator.Exact };
        var bound = new VariationalLikelihood(ReverseVariance.FixedLarge) { Clip = true };

        var byFlow = new DequantisedLikelihood(new ProbabilityFlowLikelihood(options))
            .BitsPerDim(model, bytes, new LikelihoodRequest(), TestContext.Current.CancellationToken);
        var byBound = bound.BitsPerDim(model, bytes, new LikelihoodRequest(), TestContext.Current.CancellationToken).mean().item<double>();

        var entropy = (0.5 * Math.Log2(2.0 * Math.PI * Math.E * 0.04)) + 7.0;
        var deviation = byFlow.std().item<double>() / Math.Sqrt(300.0);
        byFlow.mean().item<double>().Should().BeApproximately(entropy, 4.0 * deviation);
        byBound.Should().BeGreaterThan(byFlow.mean().item<double>() - (4.0 * deviation)).And.BeLessThan(entropy + 0.5);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_cannot_be_evaluated_is_refused_and_a_cancelled_run_ends()
    {
        using var scope = NewDisposeScope();
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var likelihood = new VariationalLikelihood { Clip = true, CheckSamples = false };
        using var model = new FunctionDenoiser(x => x.clone()).On(Schedule);
        FluentActions.Invoking(() => likelihood.Over(model, Data(), cancellationToken: cancelled.Token))
            .Should().Throw<OperationCanceledException>();
        FluentActions.Invoking(() => likelihood.Evaluate(model, zeros([1, 2]), new LikelihoodRequest(), cancellationToken: cancelled.Token))
            .Should().Throw<OperationCanceledException>();
        FluentActions.Invoking(() => Over(likelihood, new DatasetLikelihoodOptions { BatchSize = 0 }))
            .Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => Over(likelihood, new DatasetLikelihoodOptions { MaxSamples = 0 })).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => likelihood.BitsPerDim(model, zeros([], dtype: ScalarType.Float32), new LikelihoodRequest(), TestContext.Current.CancellationToken))
            .Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => likelihood.BitsPerDim(null!, zeros([1, 2]), new LikelihoodRequest(), TestContext.Current.CancellationToken))
            .Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        var likelihood = new VariationalLikelihood(ReverseVariance.LearnedRange) { Clip = true, CheckSamples = false };
        using var samples = zeros([2, 3, 4]);
        using var model = new DelegateDenoiser((x, _) => cat([x, x], 1)).On(Schedule, learnsVariance: true);
        likelihood.BitsPerDim(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken).Dispose();

        LiveTensors.Change(() => likelihood.BitsPerDim(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken).Dispose()).Should().Be(0);
    }

    private static LikelihoodSummary Over(ILikelihood likelihood, DatasetLikelihoodOptions options)
    {
        using var scope = NewDisposeScope();
        using var model = new FunctionDenoiser(x => x.mul(0.9)).On(Schedule);
        return likelihood.Over(model, Data(), options, null, TestContext.Current.CancellationToken);
    }

    /// <summary>Seven samples of two elements, the first of which is the index of the sample.</summary>
    private static TensorDataset Data(bool labelled = false)
    {
        using var scope = NewDisposeScope();
        var index = arange(0, 7, 1, dtype: ScalarType.Float32).reshape(7, 1);
        return new TensorDataset(cat([index, index.mul(0.1)], 1), labelled ? arange(0, 7, 1, dtype: ScalarType.Int64) : null);
    }

    /// <summary>Bits/dim that are the first element of a sample.</summary>
    private sealed class Known : ILikelihood
    {
        public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
        {
            var bits = samples.narrow(1, 0, 1).reshape(-1).to(ScalarType.Float64);
            bits.Values()[0].Should().Be(request.FirstSample);
            return bits;
        }
    }

    private sealed class Direct(Action<LikelihoodProgress> report) : IProgress<LikelihoodProgress>
    {
        public void Report(LikelihoodProgress value) => report(value);
    }
}
