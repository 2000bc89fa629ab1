using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>Every solver on every schedule with every prediction, on the exact denoiser of a mixture of Gaussians.</summary>
public class EveryCombinationTests(ITestOutputHelper output)
{
    private static readonly double[] _starts = [-19.0, -12.0, -5.5, -1.0, 3.5, 8.0, 16.0];
    private static readonly double[] _exact = Array.ConvertAll(_starts, x => ProbabilityFlow.Solve(x, MixtureRun.First, MixtureRun.Last));

    [Theory]
    [MemberData(nameof(Solvers))]
    public void Measure(string name)
    {
        var worst = 0.0;
        foreach (var schedule in Schedules())
        foreach (var prediction in Every.Predictions)
        {
            if (!MixtureRun.Applies(prediction, schedule)) continue;
            var r = MixtureRun.Of(Every.Solvers[name], schedule, prediction, _starts);
            worst = Math.Max(worst, Math.Sqrt(r.Zip(_exact, (a, b) => (a - b) * (a - b)).Average()));
        }
        output.WriteLine($"MEASURE {name}: {worst:E2}");
        Console.WriteLine($"MEASURE {name}: {worst:E2}");
    }
    public static TheoryData<string> Solvers() => [.. Every.Solvers.Keys];
    private static IEnumerable<INoiseSchedule> Schedules()
    {
        foreach (var n in TestSchedules.AllNames) { var s = TestSchedules.MakeAny(n); if (MixtureRun.Covers(s)) yield return s; else Console.WriteLine("EXCLUDED " + n);}
    }
}
