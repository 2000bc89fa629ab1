using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>Places that cannot be written to, or no longer.</summary>
[Trait(Category.Name, Category.Fault)]
public partial class FullDiskTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(6_000)]
    [InlineData(9_000)]
    public void A_save_without_room_is_undone_and_the_run_goes_on_where_it_was(long limit)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The size of files can be limited on Linux.");
        using var folder = new TemporaryFolder();
        var reference = new HostReference(8);
        using var host = new HostProcess(folder.Path, "8", "full", "5", $"{limit}");

        host.WaitForExit().Should().Be(0);

        var failure = host.Lines.Single(line => line.StartsWith("failed", StringComparison.Ordinal));
        failure.Should().StartWith("failed at 6 needing ").And.Contain("step-00000006: cannot be written: ").And.Contain(" free.");
        var needed = long.Parse(Needed().Match(failure).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
        var files = Directory.EnumerateFiles(folder.File("step-00000008"), "*.safetensors");
        var size = files.Sum(file => new FileInfo(file).Length);
        needed.Should().BeInRange(size / 2, size);
        host.Lines.Should().Contain("left latest step-00000002 step-00000004");
        reference.Check(folder.File("step-00000006"), "saved when there was room");
        reference.Check(folder.File("step-00000008"), "the end");
    }

    [Fact]
    public void A_file_in_the_place_of_a_folder_is_an_error_that_leaves_the_run_as_it_was()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.Path });
        trainer.Save();
        var before = Bits.OfFolder(folder.File("step-00000000"));
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        File.WriteAllText(folder.File(".step-00000001.partial"), "in the way");

        FluentActions.Invoking(trainer.Save).Should().Throw<CheckpointException>()
            .WithMessage("*step-00000001: cannot be written: *").Which.RequiredBytes.Should().BePositive();

        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000000"));
        Bits.OfFolder(folder.File("step-00000000")).Should().Equal(before);
        File.Delete(folder.File(".step-00000001.partial"));
        trainer.Save();
        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000001"));
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_folder_without_permission_is_refused_when_a_run_starts_and_when_it_saves()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "Permissions do not bind this user.");
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.File("run") }))
        {
            trainer.Save();
            File.SetUnixFileMode(folder.File("run"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
            FluentActions.Invoking(trainer.Save).Should().Throw<CheckpointException>().WithMessage("*cannot be written*");
        }

        using var second = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.File("run") });
        FluentActions.Invoking(() => second.Run(new Points(50)))
            .Should().Throw<CheckpointException>().WithMessage("*cannot be written to*");
        File.SetUnixFileMode(folder.File("run"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        CheckpointStore.Latest(folder.File("run")).Should().Be(folder.File("run/step-00000000"));
    }

    [Fact]
    public void A_file_system_that_holds_no_folders_of_ours_is_refused_even_for_root()
    {
        Assert.SkipUnless(Directory.Exists("/proc/self"), "There is no /proc here.");
        using var model = new TinyDenoiser();

        using var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = "/proc/self/run" });
        FluentActions.Invoking(() => trainer.Run(new Points(50)))
            .Should().Throw<CheckpointException>().WithMessage("/proc/self/run: cannot be written to*");
    }

    [GeneratedRegex("needing ([0-9]+):")]
    private static partial Regex Needed();
}
