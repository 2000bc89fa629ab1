using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// What a step costs beside the network, counted in tensors that it makes: every operator that does not work in place makes one. Those
/// that do add a term to one of these, so that operators are at most twice as many.
/// </summary>
public class StepCostTests
{
    private const int Steps = 20;

    public static TheoryData<string> Solvers() => [.. Every.Solvers.Keys];

    [Theory]
    [MemberData(nameof(Solvers))]
    public void A_step_makes_a_handful_of_tensors_for_each_call_of_the_network(string name)
    {
        var calls = 0;
        using var answer = tensor(new[] { 0.1, -0.2, 0.3 }).reshape(1, 3);
        var denoiser = new FunctionDenoiser((_, _, _) =>
        {
            calls++;
            return answer.alias();
        });
        var schedule = DiscreteSchedule.Linear();
        var grid = TimeSpacing.Trailing.CreateGrid(schedule, Steps).WithFinalLevel(schedule.LevelAt(0));
        var sampler = new DiffusionSampler(grid, Every.Solvers[name], new SamplerOptions { Threshold = Thresholding.None });
        using var start = tensor(new[] { 0.5, 1.0, -1.5 }).reshape(1, 3);
        var request = new SamplingRequest { Shape = [1, 3], InitialSample = start, Noise = new Silence() };

        var before = Created();
        sampler.Sample(denoiser.On(schedule), request, cancellationToken: TestContext.Current.CancellationToken).Dispose();
        var made = (Created() - before) / (double)calls;

        made.Should().BeLessThan(
            Every.Solvers[name] is LangevinCorrectedSolver ? 12.0 : 8.0,
            "two of them are the output of the network and its timestep");
    }

    private static long Created()
        => DisposeScopeManager.Statistics.CreatedInScopeCount + DisposeScopeManager.Statistics.CreatedOutsideScopeCount;

    /// <summary>Draws in one operator: what noise costs is no cost of the solver.</summary>
    private sealed class Silence : INoiseSource
    {
        public Tensor Draw(Tensor like) => zeros_like(like);

        public void Dispose()
        {
        }
    }
}
