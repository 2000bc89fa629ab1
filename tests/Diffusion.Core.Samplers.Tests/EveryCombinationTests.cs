using System.Reflection;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// Every solver on every schedule with every prediction, on the exact denoiser of a mixture of Gaussians, against a bound that is stated
/// for the solver. What cannot be combined is named.
/// </summary>
public class EveryCombinationTests
{
    private static readonly double[] _starts = [-19.0, -12.0, -5.5, -1.0, 3.5, 8.0, 16.0];
    private static readonly double[] _exact = Array.ConvertAll(_starts, x => ProbabilityFlow.Solve(x, MixtureRun.First, MixtureRun.Last));

    /// <summary>Schedules that do not reach from sigma / alpha 10 to .05.</summary>
    private static readonly string[] _tooShort =
        ["linear, 20 steps", "constant", "exponential", "Laplace", "Laplace, root", "two steps", "one step"];

    public static TheoryData<string> Deterministic() => [.. Every.DeterministicBounds.Keys];

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void The_error_of_a_deterministic_solver_is_within_its_bound_everywhere(string name)
    {
        var bound = Every.DeterministicBounds[name];
        foreach (var (schedule, prediction, what) in All())
        {
            var result = MixtureRun.Of(Every.Solvers[name], schedule, prediction, _starts);
            var error = Math.Sqrt(result.Zip(_exact, (a, b) => (a - b) * (a - b)).Average());
            error.Should().BeLessThan(bound, what);
        }
    }

    [Fact]
    public void Nothing_is_left_out()
    {
        Every.DeterministicBounds.Keys.Concat(Every.StochasticBounds.Keys).Should().BeEquivalentTo(Every.Solvers.Keys);
        TestSchedules.AllNames.Select(row => row.Data).Where(name => !MixtureRun.Covers(TestSchedules.MakeAny(name))).Should().BeEquivalentTo(_tooShort);

        var known = Every.Solvers.Values.Select(solver => solver.GetType()).ToHashSet();
        typeof(ISolver).Assembly.GetExportedTypes()
            .Where(type => type.IsAssignableTo(typeof(ISolver)) && !type.IsInterface && !known.Contains(type))
            .Should().BeEquivalentTo([typeof(RePaintSolver)], "inpainting changes what is sampled, and has tests of its own");

        var schedules = TestSchedules.AllNames.Select(row => TestSchedules.MakeAny(row.Data).GetType()).ToHashSet();
        typeof(INoiseSchedule).Assembly.GetExportedTypes()
            .Where(type => type.IsAssignableTo(typeof(INoiseSchedule)) && !type.IsInterface && !schedules.Contains(type))
            .Should().BeEmpty();

        var predictions = Every.Predictions.Select(prediction => prediction.Name).ToHashSet();
        typeof(Prediction).GetProperties(BindingFlags.Public | BindingFlags.Static)
            .Select(property => ((Prediction)property.GetValue(null)!).Name).Should().BeSubsetOf(predictions);
        typeof(Prediction).GetMethods(BindingFlags.Public | BindingFlags.Static)
            .Where(method => method.ReturnType == typeof(Prediction) && !method.IsSpecialName)
            .Select(method => ((Prediction)method.Invoke(null, [.. method.GetParameters().Select(parameter => parameter.DefaultValue)])!).Name)
            .Should().BeSubsetOf(predictions);
    }

    /// <summary>The schedules and predictions that every solver is tried on.</summary>
    internal static IEnumerable<(INoiseSchedule Schedule, Prediction Prediction, string What)> All()
    {
        foreach (var row in TestSchedules.AllNames)
        {
            var schedule = TestSchedules.MakeAny(row.Data);
            if (!MixtureRun.Covers(schedule))
                continue;
            foreach (var prediction in Every.Predictions)
            {
                if (MixtureRun.Applies(prediction, schedule))
                    yield return (schedule, prediction, $"it walks '{row.Data}' with a network that predicts {prediction.Name}");
            }
        }
    }
}
