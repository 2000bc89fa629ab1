using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

// Examples are written as a reader would, without the token of a test.
#pragma warning disable xUnit1051

namespace Diffusion.Core.Samplers.Tests;

/// <summary>The examples of docs/samplers.md, which are those of this file word for word.</summary>
public sealed class DocumentedExampleTests : IDisposable
{
    private readonly DiscreteSchedule schedule = DiscreteSchedule.ScaledLinear();
    private readonly DiffusionModel model;
    private readonly Tensor image = full([1, 3, 8, 8], 0.5f);
    private readonly Tensor mask = zeros([1, 3, 8, 8]);

    public DocumentedExampleTests()
    {
        model = new ExactDenoiser(schedule, ExactDenoiser.Gaussian(0.3, 0.5), Prediction.Epsilon).Model;
        using var half = mask.narrow(3, 0, 4);
        half.fill_(1.0);
    }

    public void Dispose()
    {
        model.Dispose();
        image.Dispose();
        mask.Dispose();
    }

    [Fact]
    public void A_grid_of_noise_levels()
    {
        var sampler = new DiffusionSampler(new DpmMultistepSolver(), steps: 20, SigmaSpacing.Karras());
        using var images = sampler.Sample(model, shape: [4, 3, 8, 8], seed: 0);

        images.Values().Average().Should().BeApproximately(0.3, 0.1);
    }

    [Fact]
    public void Guidance_without_a_classifier()
    {
        // 10 stands for no class, whose data is wider.
        var wide = new ExactDenoiser(schedule, ExactDenoiser.Gaussian(0.0, 0.5), Prediction.Epsilon);
        var narrow = this.model.Network;
        using var model = new DelegateDenoiser((x, t, told) =>
        {
            using var label = told!.Labels!.max();
            return (label.item<long>() == 10 ? wide : narrow).Predict(x, t);
        }).On(schedule);

        var guided = Guidance.ClassifierFree(model, scale: 4.0, nullLabel: 10, new GuidanceOptions { Rescale = 0.7, MaxTime = 800.0 });
        using var labels = Condition.OfLabels([3, 3, 7, 7]);
        using var digits = new DdimSampler(steps: 50).Sample(guided, [4, 3, 8, 8], seed: 0, labels);

        digits.Values().Average().Should().BeGreaterThan(0.4, "guidance leads away from the mean of no class");
    }

    [Fact]
    public void Image_to_image()
    {
        var rest = TimeSpacing.Trailing.CreateGrid(model.Schedule, steps: 50).StartingAt(strength: 0.6);
        var request = new SamplingRequest { Shape = image.shape, InitialData = image, Seed = 0 };
        using var changed = new DiffusionSampler(rest, new DpmMultistepSolver()).Sample(model, request);

        changed.Values().Should().OnlyContain(x => Math.Abs(x) <= 1.0);
        rest.Count.Should().Be(30);
    }

    [Fact]
    public void Inpainting()
    {
        var toAndFro = RePaintSolver.Resampled(TimeSpacing.Trailing.CreateGrid(model.Schedule, steps: 25), jump: 5, repeats: 3);
        var inpainting = new DiffusionSampler(toAndFro, new RePaintSolver(new AncestralSolver(), image, mask));
        using var filled = inpainting.Sample(model, image.shape, seed: 0);

        using var known = filled.narrow(3, 0, 4);
        known.Values().Should().OnlyContain(x => x == 0.5);
        filled.Values().Distinct().Should().HaveCountGreaterThan(50);
    }

    [Fact]
    public void A_solver_of_ones_own()
    {
        double Error(int steps) => ProbabilityFlow.Error(new MidpointSolver(), new LogSigmaSchedule(preservesVariance: true).Grid(steps));

        Math.Log2(Error(40) / Error(80)).Should().BeApproximately(2.0, 0.15);
    }

    [Fact]
    public void The_examples_are_these()
    {
        string[] tests = ["Diffusion.Core.Samplers.Tests", "Diffusion.Core.Diffusers.Tests"];
        var sources = tests
            .SelectMany(project => File.ReadLines(Path.Combine(TestData.Root, "tests", project, $"{nameof(DocumentedExampleTests)}.cs")))
            .Select(line => line.Trim())
            .ToHashSet();
        var isCode = false;
        var examples = new List<string>();
        foreach (var line in File.ReadLines(Path.Combine(TestData.Root, "docs", "samplers.md")).Select(line => line.Trim()))
        {
            if (line.StartsWith("```", StringComparison.Ordinal))
                isCode = !isCode;
            else if (isCode)
                examples.Add(line);
        }

        examples.Should().HaveCountGreaterThan(25).And.OnlyContain(line => sources.Contains(line));
    }

    public sealed class MidpointSolver : ISolver
    {
        public Tensor Step(SolverStep step)
        {
            var (from, to) = (step.From, step.To);
            if (to.Sigma == 0.0)
                return step.Current.Mix(to.Alpha, 0.0);
            var (time, level) = step.At(0.5 * (from.Lambda + to.Lambda));
            using var x = new LinearPair(level.Alpha, level.Sigma).Apply(step.Current.X0, step.Current.Epsilon);
            using var middle = step.Evaluate(x, time, level);
            return new LinearPair(to.Alpha / from.Alpha, to.Alpha * (to.NoiseToSignalRatio - from.NoiseToSignalRatio)).Apply(step.Sample, middle.Epsilon);
        }
    }
}
