using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>
/// The four situations in which training on the package failed, each in a process where another thread only allocates and collects.
/// <c>Diffusion.Core.FaultHost collect SITUATION STEPS SAMPLERSTEPS</c> runs any number of steps.
/// </summary>
[Trait(Category.Name, Category.Long)]
public class ConstantCollectionTests
{
    public static TheoryData<string, int, bool> Cases => new(
        from situation in new[] { ("images", 1_000), ("allocating-data", 5_000), ("allocating-thread", 5_000), ("no-workers", 5_000) }
        from concurrent in new[] { false, true }
        select (situation.Item1, situation.Item2, concurrent));

    [Theory]
    [MemberData(nameof(Cases))]
    public void No_step_fails_or_is_repeated(string situation, int steps, bool concurrent)
    {
        var environment = new Dictionary<string, string> { ["DOTNET_gcConcurrent"] = concurrent ? "1" : "0" };

        using var host = new HostProcess(environment, ["collect", situation, $"{steps}", "1000"]);

        host.WaitForExit().Should().Be(0);
        host.Lines.Should().ContainSingle()
            .Which.Should().StartWith($"{situation}, concurrent collection {(concurrent ? "on" : "off")}: {steps} training steps")
            .And.Contain(" 0 warnings");
    }
}
