using System.Runtime.Versioning;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Tests;

[Trait(Category.Name, Category.Fault)]
public sealed class UnreadableFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(UnreadableFile.Folder)]
    [InlineData(UnreadableFile.Pipe)]
    [InlineData(UnreadableFile.Device)]
    [InlineData(UnreadableFile.Forbidden)]
    public async Task What_is_not_a_readable_file_is_refused_with_its_name(string kind)
    {
        var path = _folder.File("metrics.jsonl");
        UnreadableFile.Create(path, kind);

        await UnreadableFile.RefusesAsync(path, () => MetricsFile.Read(path));
    }

    [Fact]
    public void An_event_file_in_whose_place_there_is_a_folder_is_refused_with_its_name()
    {
        var file = new EventFile(_folder.Path);
        File.Delete(file.FilePath);
        Directory.CreateDirectory(file.FilePath);

        file.Invoking(it => it.AddScalar("loss", 1.0, 1)).Should().Throw<IOException>().WithMessage("*tfevents*");
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_folder_without_the_right_to_write_to_it_is_refused_with_its_name()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "Permissions do not bind this user.");
        var inner = Directory.CreateDirectory(_folder.File("inner"), UnixFileMode.UserRead | UnixFileMode.UserExecute);

        FluentActions.Invoking(() => new EventFile(inner.FullName)).Should().Throw<IOException>().WithMessage("*inner*");
        FluentActions.Invoking(() => new EventFile(Path.Combine(inner.FullName, "new"))).Should().Throw<IOException>().WithMessage("*inner*");
    }
}
