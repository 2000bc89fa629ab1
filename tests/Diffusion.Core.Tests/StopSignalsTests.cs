using System.Runtime.InteropServices;
using Diffusion.Core.FaultHost;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

[Trait(Category.Name, Category.Fault)]
public class StopSignalsTests
{
    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    public void A_run_that_is_asked_to_end_saves_its_state_says_why_and_goes_on_later(string signal, int exitCode)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There is no kill here.");
        Assert.SkipWhen(signal == "INT" && IgnoresInterrupts(), "Shells have what they start in the background ignore Ctrl-C.");
        const long Steps = 100_000;
        using var folder = new TemporaryFolder();
        using (var host = new HostProcess(folder.Path, $"{Steps}"))
        {
            host.AwaitSteps(3);
            host.Signal(signal);

            host.WaitForExit().Should().Be(exitCode);

            host.Lines[^1].Should().StartWith("stopped at ");
            var newest = CheckpointStore.Latest(folder.Path)!;
            host.Lines[^1].Should().Be($"stopped at {CheckpointStore.StepOf(newest)}");
        }

        var stopped = CheckpointStore.StepOf(CheckpointStore.Latest(folder.Path)!)!.Value;
        var end = stopped + HostRun.Every - (stopped % HostRun.Every) + HostRun.Every;
        var reference = new HostReference(end);
        using var run = new HostRun(folder.Path, end);
        run.Trainer.Run(HostRun.Data);
        reference.Check(CheckpointStore.Latest(folder.Path)!, signal);
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    public void A_second_signal_ends_the_process_at_once(string signal, int exitCode)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There is no kill here.");
        Assert.SkipWhen(signal == "INT" && IgnoresInterrupts(), "Shells have what they start in the background ignore Ctrl-C.");
        using var folder = new TemporaryFolder();
        using var host = new HostProcess(folder.Path, "10", "stuck");
        host.AwaitSteps(1);
        host.Signal(signal);
        host.AwaitLine("asked to end");

        host.Signal(signal);

        host.WaitForExit().Should().Be(exitCode);
        host.Lines.Should().Equal("step 1");
    }

    [Fact]
    public void A_signal_on_its_way_while_the_run_ends_does_no_harm()
    {
        var stop = new StopSignals();
        stop.Dispose();
        var late = new PosixSignalContext(PosixSignal.SIGTERM);

        stop.Receive(late, 15);

        late.Cancel.Should().BeTrue();
        stop.ExitCode.Should().Be(143);
    }

    [Fact]
    public void Without_a_signal_nothing_is_asked()
    {
        using var stop = new StopSignals();

        stop.Token.IsCancellationRequested.Should().BeFalse();
        stop.ExitCode.Should().BeNull();
    }

    /// <summary>Whether this process was started so that it, and what it starts, never sees SIGINT.</summary>
    private static bool IgnoresInterrupts()
    {
        const string Status = "/proc/self/status";
        const ulong Interrupt = 1UL << (2 - 1);
        var ignored = File.Exists(Status) ? File.ReadLines(Status).First(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) : "SigIgn: 0";
        return (Convert.ToUInt64(ignored.Split()[^1], 16) & Interrupt) != 0;
    }
}
