using System.Globalization;
using System.Text;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// The order of every deterministic solver as it comes, measured by halving the steps: on the probability flow of a mixture of Gaussians
/// from sigma 10 to .05, evenly in log sigma, N network levels. A method of order three and more that starts with one step of Euler's is of
/// second order on the whole, as far as that step's error shows.
/// </summary>
public class OrderTableTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_solver_has_its_order()
    {
        var grids = new LogSigmaSchedule(preservesVariance: true);
        int[] steps = [20, 40, 80, 160, 320];
        var table = new StringBuilder("| solver | N=20 | N=40 | N=80 | N=160 | N=320 | order 40 to 80 | 80 to 160 |\n|---|---|---|---|---|---|---|---|\n");
        var wrong = new List<string>();
        foreach (var (name, expected) in Every.Orders)
        {
            var errors = Array.ConvertAll(steps, count => ProbabilityFlow.Error(Every.Solvers[name], grids.Grid(count)));
            var (coarse, fine) = (Math.Log2(errors[1] / errors[2]), Math.Log2(errors[2] / errors[3]));
            table.Append(CultureInfo.InvariantCulture, $"| {name} |");
            foreach (var error in errors)
                table.Append(CultureInfo.InvariantCulture, $" {error:0.00e+0} |");
            table.AppendLine(CultureInfo.InvariantCulture, $" {coarse:F2} | {fine:F2} |");
            if (!(Math.Abs(coarse - expected.Coarse) <= 0.15 && Math.Abs(fine - expected.Fine) <= 0.15))
                wrong.Add($"{name}: expected {expected}, measured {coarse:F2} and {fine:F2}");
        }

        output.WriteLine(table.ToString());
        wrong.Should().BeEmpty();
        Every.Orders.Keys.Should().BeEquivalentTo(Every.DeterministicBounds.Keys, "every deterministic solver is in the table");
    }
}
