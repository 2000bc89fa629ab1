using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class SamplerOwnershipTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Solvers => [.. Combinations.Solvers.Keys];

    [Theory]
    [MemberData(nameof(Solvers))]
    public void Live_tensors_are_constant_over_a_thousand_steps_and_none_stays_behind(string solver)
    {
        var sampler = new DiffusionSampler(TimeSpacing.Trailing.CreateGrid(_schedule, 1000), Combinations.Solvers[solver]);
        var counts = new List<long>();
        LiveTensors.Change(() =>
        {
            foreach (var step in sampler.Steps(Model(Denoiser()), new SamplingRequest { Shape = [2, 3] }, Token))
            {
                using var state = step;
                if (state.Step is > 0 and < 1000)
                    counts.Add(Tensor.TotalCount);
            }
        }).Should().Be(0);

        counts.Should().HaveCount(999);
        counts.Skip(sampler.Solver.HistoryLength).Distinct().Should().HaveCount(1, "the history is full");
    }

    [Fact]
    public void Sampling_leaves_its_answer_and_nothing_else()
        => LiveTensors.Change(() =>
        {
            var sample = new AncestralSampler(5).Sample(Model(Denoiser()), [2, 3], 0);
            LiveTensors.Change(sample.Dispose).Should().Be(-1);
        }).Should().Be(0);

    [Fact]
    public void Leaving_a_trajectory_early_frees_it()
    {
        var denoiser = Denoiser();
        LiveTensors.Change(() =>
        {
            foreach (var step in new AncestralSampler(5).Steps(Model(denoiser), new SamplingRequest { Shape = [2, 3] }, Token))
            {
                using var state = step;
                if (state.Step == 2)
                    break;
            }
        }).Should().Be(0);
        denoiser.Ended.Should().Be(1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [Trait(Category.Name, Category.Fault)]
    public void A_failing_network_leaves_nothing_behind(int call)
    {
        var calls = 0;
        var denoiser = new FunctionDenoiser(x => calls++ == call ? throw new IOException("lost") : x.mul(0.5));
        LiveTensors.Change(() =>
        {
            var sample = () => new AncestralSampler(5).Sample(Model(denoiser), [2, 3], 0);
            sample.Should().Throw<IOException>().WithMessage("lost");
        }).Should().Be(0);
        denoiser.Begun.Should().Be(1);
        denoiser.Ended.Should().Be(1);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_failing_noise_source_leaves_nothing_behind()
    {
        foreach (var draw in new[] { 0, 2 })
        {
            var denoiser = Denoiser();
            LiveTensors.Change(() =>
            {
                using var noise = new ReplayNoise((m, like) => m == draw ? throw new IOException("lost") : ones_like(like));
                var sample = () => new AncestralSampler(5).Sample(Model(denoiser), new SamplingRequest { Shape = [2, 3], Noise = noise });
                sample.Should().Throw<IOException>();
            }).Should().Be(0);
            denoiser.Ended.Should().Be(denoiser.Begun);
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Cancellation_stops_before_the_next_step_and_leaves_nothing_behind()
    {
        using var source = new CancellationTokenSource();
        var calls = 0;
        var denoiser = new FunctionDenoiser(x =>
        {
            if (++calls == 3)
                source.Cancel();
            return x.mul(0.5);
        });
        LiveTensors.Change(() =>
        {
            var sample = () => new DdimSampler(10).Sample(Model(denoiser), [2, 3], 0, cancellationToken: source.Token);
            sample.Should().Throw<OperationCanceledException>().Which.CancellationToken.Should().Be(source.Token);
        }).Should().Be(0);
        denoiser.Calls.Should().Be(3);
        denoiser.Ended.Should().Be(1);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_cancelled_run_does_not_begin()
    {
        var denoiser = Denoiser();
        var sample = () => new DdimSampler(10).Sample(Model(denoiser), [2, 3], 0, cancellationToken: new CancellationToken(true));

        sample.Should().Throw<OperationCanceledException>();
        denoiser.Begun.Should().Be(0);
    }

    [Fact]
    public void The_callers_dispose_scopes_do_not_reach_the_trajectory_but_own_the_answer()
    {
        var sampler = new DdimSampler(4);
        LiveTensors.Change(() =>
        {
            using var steps = sampler.Steps(Model(Denoiser()), new SamplingRequest { Shape = [2] }, Token).GetEnumerator();
            for (var more = true; more;)
            {
                // The scope closes between two steps, as it does where each frame is handled in a method of its own.
                using var scope = NewDisposeScope();
                more = steps.MoveNext();
                if (!more)
                    break;
                using var state = steps.Current;
                state.Sample.add(1.0).Values().Should().OnlyContain(x => double.IsFinite(x));
            }
        }).Should().Be(0);

        LiveTensors.Change(() =>
        {
            using var scope = NewDisposeScope();
            sampler.Sample(Model(Denoiser()), [2], 0).Values().Should().HaveCount(2);
        }).Should().Be(0);
    }

    [Theory]
    [InlineData("ddim")]
    [InlineData("dpm++(3M)")]
    [InlineData("adaptive")]
    public void States_can_be_kept_after_the_enumeration(string name)
    {
        LiveTensors.Change(() =>
        {
            ISampler sampler = name switch
            {
                "ddim" => new DdimSampler(6),
                "adaptive" => new ProbabilityFlowSampler { EndTime = 1 },
                _ => new DiffusionSampler(new DpmMultistepSolver(3), 6),
            };
            var request = new SamplingRequest { Shape = [2, 3] };
            var seen = new List<(double[] Sample, double[]? Denoised)>();
            foreach (var step in sampler.Steps(Model(Denoiser()), request, Token))
            {
                using var state = step;
                seen.Add((state.Sample.Values(), state.Denoised?.Values()));
            }

            var kept = sampler.Steps(Model(Denoiser()), request, Token).ToList();
            kept.Select(state => state.Sample.Values()).Should().BeEquivalentTo(seen.Select(state => state.Sample), options => options.WithStrictOrdering());
            kept.Select(state => state.Denoised?.Values()).Should().BeEquivalentTo(seen.Select(state => state.Denoised), options => options.WithStrictOrdering());
            kept.ForEach(state => state.Dispose());
            kept.ForEach(state => state.Dispose());
        }).Should().Be(0);
    }

    [Fact]
    public void Nothing_is_made_before_the_first_state_is_asked_for()
    {
        var denoiser = Denoiser();
        LiveTensors.Change(() => new DdimSampler(4).Steps(Model(denoiser), new SamplingRequest { Shape = [2] })).Should().Be(0);
        denoiser.Begun.Should().Be(0);
    }

    private static DiffusionModel Model(FunctionDenoiser denoiser) => denoiser.On(_schedule).With(DataRange.Images);

    private static FunctionDenoiser Denoiser() => new(x => x.mul(0.5));
}
