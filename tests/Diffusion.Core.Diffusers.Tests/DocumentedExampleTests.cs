using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

// Examples are written as a reader would, without the token of a test.
#pragma warning disable xUnit1051

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>What docs/samplers.md says of scheduler configurations.</summary>
public sealed class DocumentedExampleTests
{
    [Fact]
    public void The_sampler_of_a_configuration()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("scheduler_config.json");
        File.WriteAllText(
            path, """{"_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "scaled_linear", "use_karras_sigmas": true}""");
        var network = new ExactDenoiser(DiscreteSchedule.Linear(), ExactDenoiser.Gaussian(0.3, 0.5), Prediction.Epsilon);

        var config = SchedulerConfig.Read(path);
        var sampler = DiffusersScheduler.CreateSampler(config, steps: 30);
        using var model = DiffusersScheduler.CreateModel(config, network);
        using var images = sampler.Sample(model, shape: [4, 3, 8, 8], seed: 0);

        sampler.Solver.Should().BeOfType<DpmMultistepSolver>();
        images.shape.Should().Equal(4, 3, 8, 8);
    }

    [Fact]
    public void Every_scheduler_that_is_known_is_named()
    {
        var documented = File.ReadAllText(Path.Combine(TestData.Root, "docs", "samplers.md"));

        DiffusersScheduler.ClassNames.Should().OnlyContain(name => documented.Contains($"`{name}`"));
    }
}
