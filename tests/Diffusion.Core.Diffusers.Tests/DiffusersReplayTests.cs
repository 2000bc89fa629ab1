using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

[Trait(Category.Name, Category.Golden)]
public class DiffusersReplayTests(ITestOutputHelper output)
{
    /// <summary>diffusers keeps its tables in float32.</summary>
    private const double Tolerance = 1e-4;

    public static TheoryData<string> Files() => GoldenFile.Find("schedulers", "*.safetensors");

    [Theory]
    [MemberData(nameof(Files))]
    public void A_recorded_run_of_diffusers_is_repeated_step_by_step(string path)
    {
        using var run = new RecordedRun(path);
        output.WriteLine($"{path}: {run.Replay(Tolerance):E1}");
    }
}
