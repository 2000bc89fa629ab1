using System.Runtime.Versioning;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

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
        foreach (var (name, read) in (IEnumerable<(string, Action<string>)>)
        [
            ("values", path => IdxFile.Read(path)),
            ("x.png", path => PngReader.Read(path)),
            ("data_batch_1.bin", path => GC.KeepAlive(new Cifar10(Path.GetDirectoryName(path)!))),
            ("metrics.jsonl", path => RunReport.Write(path)),
        ])
        {
            UnreadableFile.Create(_folder.File(name), kind);
            await UnreadableFile.RefusesAsync(_folder.File(name), () => read(_folder.File(name)));
        }
    }

    [Theory]
    [InlineData(UnreadableFile.Pipe)]
    [InlineData(UnreadableFile.Device)]
    [InlineData(UnreadableFile.Forbidden)]
    public async Task An_image_that_is_not_a_readable_file_is_an_error_of_its_sample(string kind)
    {
        UnreadableFile.Create(_folder.File("x.png"), kind);

        var open = () => Task.Run(() => new ImageFolder(_folder.Path)).WaitAsync(TimeSpan.FromSeconds(30));

        (await open.Should().ThrowAsync<SampleException>()).WithMessage("*x.png*").WithInnerException<IOException>();
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_folder_without_the_right_to_list_it_is_refused_with_its_name()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "Permissions do not bind this user.");
        var inner = Directory.CreateDirectory(_folder.File("inner"), UnixFileMode.None);

        FluentActions.Invoking(() => new ImageFolder(_folder.Path)).Should().Throw<IOException>().WithMessage("*inner*");

        inner.UnixFileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    }
}
