using Diffusion.Core.Testing;

namespace Diffusion.Core.Models.Tests;

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
            ("x.safetensors", path => SafetensorsFile.Open(path).Dispose()),
            ("y.safetensors", path => ModelFile.Load<UNet>(path).Dispose()),
            ("z.safetensors.index.json", path => SafetensorsSet.Open(path).Dispose()),
            ("model.json", _ => DiffusionModel.Load(_folder.Path).Dispose()),
        ])
        {
            UnreadableFile.Create(_folder.File(name), kind);
            await UnreadableFile.RefusesAsync(_folder.File(name), () => read(_folder.File(name)));
        }
    }
}
