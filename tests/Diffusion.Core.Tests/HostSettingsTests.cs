using System.Globalization;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class HostSettingsTests
{
    [Fact]
    public void Memory_that_was_freed_once_is_used_again_without_the_system()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The setting is one of glibc.");
        using var host = new HostProcess("pages");
        host.WaitForExit().Should().Be(0);
        var lines = host.Lines.Select(line => line.Split(' ')).ToDictionary(words => words[0], words => words[1]);
        Assert.SkipUnless(lines["accepted"] == "True", "The C library of this system has no such setting.");

        long Pages(string when) => long.Parse(lines[when], CultureInfo.InvariantCulture);

        // 20 tensors of 32 MiB have 163,840 pages of 4 KiB.
        Pages("before").Should().BeGreaterThan(10_000);
        Pages("after").Should().BeLessThan(Pages("before") / 20);
    }

    [Theory]
    [InlineData("", "", "True", "20000")]
    [InlineData("", "5", "False", "5")]
    [InlineData("PASSIVE", "", "False", "")]
    public void The_spin_is_set_unless_the_environment_says_how_to_wait(string policy, string count, string isSet, string expected)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The setting is one of libgomp.");
        using var host = new HostProcess(new() { ["OMP_WAIT_POLICY"] = policy, ["GOMP_SPINCOUNT"] = count }, ["spin"]);

        host.WaitForExit().Should().Be(0);

        host.Lines[0].Should().Be($"set {isSet}");
        host.Lines[1].Should().Be($"count {expected}");
    }
}
