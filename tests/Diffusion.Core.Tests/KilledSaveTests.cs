using Diffusion.Core.FaultHost;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>Processes that end in the middle of a save.</summary>
[Trait(Category.Name, Category.Fault)]
public class KilledSaveTests
{
    [Fact]
    public void A_run_that_ends_between_any_two_operations_of_its_saves_goes_on_as_if_it_had_not()
    {
        using var folder = new TemporaryFolder();
        using var copies = new TemporaryFolder();
        var reference = new HostReference(10);
        var logger = new SnapshotLogger(folder.File("run"), copies.Path);
        using (var run = new HostRun(folder.File("run"), 8, CheckpointRetention.Last(3), logger))
        {
            run.Trainer.Run(HostRun.Data);
            // Over one that is there.
            run.Trainer.Save();
        }

        // Back to an earlier one, which leaves a later one behind.
        using (var run = new HostRun(folder.File("run"), 6, CheckpointRetention.Last(1), logger))
        {
            run.Trainer.Resume(folder.File("run/step-00000004"));
            logger.LastSaved = 4;
            run.Trainer.Run(HostRun.Data);
        }

        logger.Taken.Should().HaveCountGreaterThan(45);
        foreach (var (path, operation, saved) in logger.Taken)
            Survives(path, saved, reference, operation);
    }

    [Theory]
    [InlineData(12)]
    public void A_run_that_is_killed_at_random_moments_goes_on_as_if_it_were_not(int kills) => KillAtRandom(kills);

    [Theory]
    [InlineData(100)]
    [Trait(Category.Name, Category.Long)]
    public void A_run_that_is_killed_a_hundred_times_goes_on_as_if_it_were_not(int kills) => KillAtRandom(kills);

    private static void KillAtRandom(int kills)
    {
        using var folder = new TemporaryFolder();
        var random = new Random(17);
        var plans = Enumerable.Range(0, kills)
            .Select(_ => (Steps: random.Next(1, 6), Spin: random.Next(200_000), Operation: random.Next(1, 30)))
            .ToArray();
        var reference = new HostReference(HostRun.Every * 3 * kills);
        var last = HostRun.Every * 3L * kills;
        for (var i = 0; i < kills; i++)
        {
            // Every third kills itself before some operation; the others are killed whatever they are doing.
            var byItself = i % 3 == 0;
            using var host = byItself
                ? new HostProcess(folder.File("run"), $"{last}", "kill", $"{plans[i].Operation}")
                : new HostProcess(folder.File("run"), $"{last}");
            if (!byItself)
            {
                host.AwaitSteps(plans[i].Steps);
                Thread.SpinWait(plans[i].Spin);
                host.Kill();
            }

            host.WaitForExit().Should().Be(137);
            if (CheckpointStore.Latest(folder.File("run")) is { } newest)
                reference.Check(newest, $"kill {i}");
        }

        using var rest = new HostRun(folder.File("run"), last);
        rest.Trainer.Run(HostRun.Data);
        NoLeftovers(folder.File("run"), "the run is complete");
        CheckpointStore.StepOf(CheckpointStore.Latest(folder.File("run"))!).Should().Be(last);
        reference.Check(CheckpointStore.Latest(folder.File("run"))!, "the end");
    }

    private static void Survives(string folder, long saved, HostReference reference, string operation)
    {
        if (CheckpointStore.Latest(folder) is { } found)
            reference.Check(found, operation);
        using var run = new HostRun(folder, 10);
        var newest = CheckpointStore.Latest(folder);
        if (saved > 0)
        {
            newest.Should().NotBeNull(operation);
            CheckpointStore.StepOf(newest!).Should().BeGreaterThanOrEqualTo(saved, operation);
            reference.Check(newest!, operation);
        }

        run.Trainer.Run(HostRun.Data);
        NoLeftovers(folder, operation);
        reference.Check(Path.Combine(folder, "step-00000010"), operation);
    }

    private static void NoLeftovers(string folder, string because)
        => Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Select(Path.GetFileName)
            .Should().NotContain(name => name!.StartsWith('.'), because);
}
