using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

public class SamplerLoopTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Two_lines_sample_a_batch()
    {
        var denoiser = new FunctionDenoiser(x => x.mul(0.5));

        using var model = new DiffusionModel(denoiser, _schedule);
        using var images = new DdimSampler(steps: 50).Sample(model, shape: [4, 1, 8, 8], seed: 0, cancellationToken: Token);

        images.shape.Should().Equal(4, 1, 8, 8);
        images.dtype.Should().Be(ScalarType.Float32);
        images.requires_grad.Should().BeFalse();
        images.Values().Should().OnlyContain(x => Math.Abs(x) <= 1.0);
        denoiser.Calls.Should().Be(50);

        using var ancestral = new AncestralSampler(steps: 10).Sample(model, shape: [2, 1, 8, 8], seed: 0, cancellationToken: Token);
        ancestral.shape.Should().Equal(2, 1, 8, 8);
    }

    [Fact]
    public void The_entry_points_choose_trailing_times_eps_and_a_clip_to_one()
    {
        var ddim = new DdimSampler(20);
        var ancestral = new AncestralSampler(20);
        using var model = new DiffusionModel(new FunctionDenoiser(x => x.mul(0.5)), _schedule);
        model.Prediction.Should().BeSameAs(Prediction.Epsilon);

        foreach (var sampler in new DiffusionSampler[] { ddim, ancestral })
        {
            sampler.GridFor(_schedule).Times.ToArray().Should().Equal(TimeSpacing.Trailing.CreateGrid(_schedule, 20).Times.ToArray());
            sampler.Options.Should().Be(new SamplerOptions());
            sampler.Options.Threshold.Should().BeNull("the range of the data is that of the model");
            using var far = tensor(new[] { -5.0, 5.0 });
            using var clipped = Thresholding.To(model.RangeOf([2, 1, 8, 8])).Apply(far);
            clipped.Values().Should().Equal(-1.0, 1.0);
        }

        ((DdimSolver)ddim.Solver).Eta.Should().Be(0.0);
        using var sample = ancestral.Sample(model, [2, 1, 2, 2], 0, cancellationToken: Token);
        using var small = new AncestralSampler(20, ReverseVariance.FixedSmall).Sample(model, [2, 1, 2, 2], 0, cancellationToken: Token);
        sample.ShouldBeIdentical(small, "the variance is the small one");
        ((DdimSolver)new DdimSampler(20, 0.5, TimeSpacing.Linspace).Solver).Eta.Should().Be(0.5);
        new DdimSampler(20, spacing: TimeSpacing.Linspace).GridFor(_schedule).Times[^1].Should().Be(0.0);
    }

    [Fact]
    public void The_trajectory_starts_with_the_noise_and_ends_with_the_sample()
    {
        var sampler = new AncestralSampler(5);
        var request = new SamplingRequest { Shape = [2, 3], Seed = 9 };
        var model = Model(new FunctionDenoiser(x => x.mul(0.5)));
        using var source = new PerSampleNoise(9, 2);
        using var like = empty(2, 3);
        using var noise = source.Draw(like);
        using var expected = sampler.Sample(model, request, cancellationToken: Token);

        var index = 0;
        foreach (var step in sampler.Steps(model, request, Token))
        {
            using var state = step;
            state.Step.Should().Be(index);
            state.Steps.Should().Be(5);
            state.Level.Should().Be(sampler.GridFor(_schedule).Levels[index]);
            state.Sample.shape.Should().Equal(2, 3);
            if (index == 0)
            {
                state.Denoised.Should().BeNull();
                state.Sample.ShouldBeIdentical(noise, "the start");
            }
            else
            {
                state.Denoised!.shape.Should().Equal(2, 3);
            }

            if (index == 5)
                state.Sample.ShouldBeIdentical(expected, "the end");
            index++;
        }

        index.Should().Be(6);
    }

    [Fact]
    public void A_trajectory_may_be_walked_again_and_beside_another()
    {
        var sampler = new AncestralSampler(4);
        var denoiser = new FunctionDenoiser(x => x.mul(0.5));
        var first = sampler.Steps(Model(denoiser), new SamplingRequest { Shape = [2], Seed = 1 }, Token);
        var second = sampler.Steps(Model(denoiser), new SamplingRequest { Shape = [2], Seed = 2 }, Token);

        var alone = first.Select(state => state.Sample.Values()).ToArray();
        var together = first.Zip(second, (a, b) => (A: a.Sample.Values(), B: b.Sample.Values())).ToArray();

        together.Select(pair => pair.A).Should().BeEquivalentTo(alone, options => options.WithStrictOrdering());
        together[^1].B.Should().NotEqual(alone[^1]);
        denoiser.Begun.Should().Be(3);
        denoiser.Ended.Should().Be(3);
    }

    [Fact]
    public void Progress_is_reported_after_each_step()
    {
        var reports = new List<SamplingProgress>();
        using var sample = new DdimSampler(4).Sample(
            Model(new FunctionDenoiser(x => x.mul(0.5))), [1, 2], 0, progress: new Reports(reports.Add), cancellationToken: Token);

        reports.Should().Equal(new SamplingProgress(1, 4), new SamplingProgress(2, 4), new SamplingProgress(3, 4), new SamplingProgress(4, 4));
    }

    [Fact]
    public void The_network_is_called_in_inference_without_gradients_and_the_callers_code_is_not()
    {
        using var weight = ones(1, requires_grad: true);
        var denoiser = new FunctionDenoiser(x => x.mul(weight));
        foreach (var step in new DdimSampler(3).Steps(Model(denoiser), new SamplingRequest { Shape = [2] }, Token))
        {
            using var state = step;
            is_grad_enabled().Should().BeTrue();
            state.Sample.requires_grad.Should().BeFalse();
            denoiser.Begun.Should().Be(1);
            denoiser.Ended.Should().Be(0);
        }

        denoiser.Misused.Should().BeFalse();
        denoiser.Begun.Should().Be(1);
        denoiser.Ended.Should().Be(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_network_is_told_the_time_of_each_sample_and_the_condition(bool discrete)
    {
        using var condition = Condition.OfLabels([3, 1]);
        INoiseSchedule schedule = discrete ? _schedule : new LogSigmaSchedule(preservesVariance: true);
        double[] times = discrete ? [900.0, 450.5, 3.0] : [2.0, -0.5, -2.0];
        var seen = new List<(ScalarType Type, double[] Times)>();
        var denoiser = new FunctionDenoiser((x, t, told) =>
        {
            told.Should().BeSameAs(condition);
            seen.Add((t.dtype, t.Values()));
            return x.mul(0.5);
        });

        foreach (var type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            seen.Clear();
            using var sample = new DdimSampler(new TimeGrid(schedule, times)).Sample(
                Model(denoiser, schedule),
                new SamplingRequest { Shape = [2, 3], Condition = condition, Dtype = type },
                cancellationToken: Token);

            seen.Select(call => call.Times).Should().BeEquivalentTo(times.Select(time => new[] { time, time }), options => options.WithStrictOrdering());
            seen.Select(call => call.Type).Should().Equal(discrete ? [ScalarType.Int64, type, ScalarType.Int64] : [type, type, type]);
        }
    }

    [Fact]
    public void An_initial_sample_is_used_as_it_is_and_left_alone()
    {
        using var initial = tensor(new[,] { { 3.0 }, { -0.5 } });
        var sampler = new DdimSampler(3);
        var model = Model(new FunctionDenoiser(x => x.mul(0.5)));
        foreach (var step in sampler.Steps(model, new SamplingRequest { Shape = [2, 1], InitialSample = initial }, Token))
        {
            using var state = step;
            state.Sample.dtype.Should().Be(ScalarType.Float64);
            if (state.Step == 0)
                state.Sample.ShouldBeIdentical(initial, "the start");
        }

        initial.Values().Should().Equal(3.0, -0.5);
    }

    [Theory]
    [InlineData(true, null, 1.0)]
    [InlineData(false, null, 10.0)]
    [InlineData(true, 2.5, 2.5)]
    public void The_initial_noise_has_the_spread_of_the_process_unless_told_otherwise(bool preservesVariance, double? chosen, double expected)
    {
        var grid = new LogSigmaSchedule(preservesVariance).Grid(3);
        var sampler = new DiffusionSampler(grid, new DdimSolver(), new SamplerOptions { InitialScale = chosen });
        using var noise = new ReplayNoise((_, like) => ones_like(like));
        var model = Model(new FunctionDenoiser(x => x.mul(0.5)), grid.Schedule);
        var first = sampler.Steps(model, new SamplingRequest { Shape = [1], Noise = noise, Dtype = ScalarType.Float64 }, Token)
            .Select(state => state.Sample.Values()[0]).First();

        first.Should().BeApproximately(preservesVariance ? expected : Math.Sqrt(1.0 + (expected * expected)), 1e-12);
        noise.IsDisposed.Should().BeFalse("it belongs to the caller");
    }

    [Fact]
    public void A_network_may_answer_in_another_precision()
    {
        var sampler = new DdimSampler(3);
        var denoiser = new FunctionDenoiser(x =>
        {
            using var half = x.to(ScalarType.BFloat16);
            return half.mul(0.5);
        });
        var request = new SamplingRequest { Shape = [2], Dtype = ScalarType.Float64 };
        using var sample = sampler.Sample(Model(denoiser), request, cancellationToken: Token);

        sample.dtype.Should().Be(ScalarType.Float64);
    }

    [Fact]
    public void Samples_are_made_where_the_network_is()
    {
        using var model = new MlpDenoiser(new MlpDenoiserOptions());
        ((IDenoiser)model).Device!.type.Should().Be(TorchSharp.DeviceType.CPU);
        ((IDenoiser)new FunctionDenoiser(x => x.mul(0.5))).Device.Should().BeNull();
    }

    private static DiffusionModel Model(FunctionDenoiser denoiser, INoiseSchedule? schedule = null)
        => denoiser.On(schedule ?? _schedule).With(DataRange.Images);

    private sealed class Reports(Action<SamplingProgress> report) : IProgress<SamplingProgress>
    {
        public void Report(SamplingProgress value) => report(value);
    }
}
