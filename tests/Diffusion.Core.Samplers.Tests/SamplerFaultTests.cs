using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
[Trait(Category.Name, Category.Fault)]
public class SamplerFaultTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();
    private static readonly DiffusionSampler _sampler = new DdimSampler(4);

    [Fact]
    public void An_answer_of_another_shape_is_refused()
        => Refused(x => x.narrow(0, 0, 1).clone(), "The network must return shape [2, 3] for an input of [2, 3], got [1, 3].");

    [Fact]
    public void An_answer_with_a_learned_variance_is_refused()
        => Refused(x => cat([x, x], 1), "The network must return shape [2, 3] for an input of [2, 3], got [2, 6].");

    [Fact]
    public void An_answer_in_integers_is_refused()
        => Refused(x => x.to(ScalarType.Int64), "The network must return floating point on CPU, got Int64 on CPU.");

    [Fact]
    public void No_answer_is_refused()
        => Refused(_ => null!, "The network must return a tensor, got null.");

    [Fact]
    public void The_input_is_no_answer()
        => Refused(x => x, "The network must return a new tensor, got its own input.");

    [Fact]
    public void Shapes_that_are_no_batch_are_refused()
    {
        foreach (var shape in new long[][] { [], [0, 3], [2, -1] })
            Refused(new SamplingRequest { Shape = shape }, "The shape must be [B, ...] of sizes of at least 1*");
        Refused(new SamplingRequest { Shape = null! }, "*Shape*");
    }

    [Fact]
    public void Types_and_indices_that_make_no_samples_are_refused()
    {
        Refused(new SamplingRequest { Shape = [2], Dtype = ScalarType.Int64 }, "*floating point, got Int64*");
        Refused(new SamplingRequest { Shape = [2], FirstSample = -1 }, "*FirstSample*got -1*");
        Refused(new SamplingRequest { Shape = [2], FirstSample = long.MaxValue }, "*FirstSample*");
    }

    [Fact]
    public void Initial_samples_and_labels_of_another_batch_are_refused()
    {
        using var initial = zeros(3, 3);
        using var whole = zeros(2, 3, dtype: ScalarType.Int64);
        using var condition = Condition.OfLabels([1, 2, 3]);

        Refused(new SamplingRequest { Shape = [2, 3], InitialSample = initial }, "*InitialSample must have shape [2, 3], got [3, 3]*");
        Refused(new SamplingRequest { Shape = [2, 3], InitialSample = whole }, "*InitialSample must be a floating point tensor, got Int64*");
        Refused(new SamplingRequest { Shape = [2, 3], Condition = condition }, "*Labels must have shape [2], got [3]*");
    }

    [Fact]
    public void Noise_of_another_shape_is_refused()
    {
        using var noise = new ReplayNoise((_, _) => zeros(2, 2));
        var sample = () => _sampler.Sample(Model(), new SamplingRequest { Shape = [2, 3], Noise = noise });

        sample.Should().Throw<ArgumentException>().WithMessage("the noise must have the shape of the samples, [2, 3], got [2, 2]*");
    }

    [Fact]
    public void Solvers_that_break_their_contract_are_refused()
    {
        foreach (var (step, message) in new (Func<Tensor, Tensor>, string)[]
        {
            (x => x, "*must return a new tensor*"),
            (_ => null!, "*must return a new tensor*"),
        })
        {
            var sample = () => Broken(step).Sample(Model(), [2, 3], 0);
            sample.Should().Throw<InvalidOperationException>().WithMessage(message);
        }

        var reshaped = () => Broken(x => x.reshape(3, 2).clone()).Sample(Model(), [2, 3], 0);
        reshaped.Should().Throw<ArgumentException>().WithMessage("the result of BrokenSolver must have the shape of the sample, [2, 3], got [3, 2]*");
    }

    [Fact]
    public void Thresholdings_that_break_their_contract_are_refused()
    {
        var sampler = new DdimSampler(4, options: new SamplerOptions { Threshold = new BrokenThresholding() });
        var sample = () => sampler.Sample(Model(), [2, 3], 0);

        LiveTensors.Change(() => sample.Should().Throw<ArgumentException>().WithMessage("the thresholded x_0 must have the shape of x, [2, 3], got [6]*"))
            .Should().Be(0);
    }

    [Fact]
    public void Missing_arguments_are_refused_at_once()
    {
        var model = Model();
        var request = new SamplingRequest { Shape = [1] };
        var grid = _sampler.GridFor(_schedule);
        foreach (var missing in new Action[]
        {
            () => _sampler.Steps(null!, request),
            () => _sampler.Steps(model, null!),
            () => ((ISampler)null!).Sample(model, request),
            () => _ = new DiffusionSampler(null!, new DdimSolver()),
            () => _ = new DiffusionSampler(grid, null!),
            () => _ = new DiffusionSampler(null!, 10),
            () => _sampler.GridFor(null!),
            () => _sampler.InitialScaleFor(null!),
            () => _ = new DdimSampler((TimeGrid)null!),
        })
        {
            missing.Should().Throw<ArgumentNullException>();
        }
    }

    [Fact]
    public void Bad_settings_are_refused_at_construction()
    {
        var grid = _sampler.GridFor(_schedule);
        foreach (var scale in new[] { 0.0, -1.0, double.NaN, double.PositiveInfinity })
        {
            var create = () => new DiffusionSampler(grid, new DdimSolver(), new SamplerOptions { InitialScale = scale });
            create.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*InitialScale*");
        }

        foreach (var create in new Action[]
        {
            () => _ = new DdimSampler(0),
            () => _ = new AncestralSampler(0),
            () => _ = new DdimSampler(10, eta: 2.0),
        })
        {
            create.Should().Throw<ArgumentException>();
        }
    }

    [Fact]
    public void Steps_that_the_schedule_does_not_have_are_refused_at_once()
    {
        var request = new SamplingRequest { Shape = [1] };
        foreach (var sampler in new DiffusionSampler[]
        {
            new DdimSampler(1001),
            new AncestralSampler(1001),
            new AncestralSampler(1000, spacing: TimeSpacing.Leading(1)),
        })
        {
            var steps = () => sampler.Steps(Model(), request);
            steps.Should().Throw<ArgumentException>();
        }
    }

    private static void Refused(Func<Tensor, Tensor> answer, string message)
    {
        var denoiser = new FunctionDenoiser(answer);
        LiveTensors.Change(() =>
        {
            var sample = () => _sampler.Sample(Model(denoiser), [2, 3], 0);
            sample.Should().Throw<ArgumentException>().WithMessage(message);
        }).Should().Be(0);
        denoiser.Ended.Should().Be(1);
    }

    private static void Refused(SamplingRequest request, string message)
    {
        var denoiser = new FunctionDenoiser(x => x.mul(0.5));
        var steps = () => _sampler.Steps(Model(denoiser), request);

        steps.Should().Throw<ArgumentException>().WithMessage(message);
        denoiser.Begun.Should().Be(0);
    }

    private static DiffusionSampler Broken(Func<Tensor, Tensor> step) => new(_sampler.GridFor(_schedule), new BrokenSolver(step));

    private static DiffusionModel Model(FunctionDenoiser? denoiser = null)
        => (denoiser ?? new FunctionDenoiser(x => x.mul(0.5))).On(_schedule).With(DataRange.Images);

    private sealed class BrokenSolver(Func<Tensor, Tensor> step) : ISolver
    {
        public Tensor Step(SolverStep context) => step(context.Sample);
    }

    private sealed class BrokenThresholding : Thresholding
    {
        public override Tensor Apply(Tensor data) => data.reshape(-1).clone();
    }
}
