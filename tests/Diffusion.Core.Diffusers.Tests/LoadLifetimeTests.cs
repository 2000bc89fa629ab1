using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>What loading leaves in memory, with no help from finalisers.</summary>
public class LoadLifetimeTests
{
    public static TheoryData<string> Folders => FolderFixture.Models;

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Golden)]
    public void A_network_that_is_disposed_leaves_nothing_behind(string folder)
    {
        var source = FolderFixture.PathOf(folder);
        var miscounted = Miscounted(folder);

        LiveTensors.Change(() => DiffusersModel.Load(source).Dispose()).Should().Be(miscounted);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Fault)]
    public void Weights_of_the_wrong_shape_leave_nothing_behind(string folder)
    {
        using var damaged = Damaged(folder, Stretched);
        void Load() => FluentActions.Invoking(() => DiffusersModel.Load(damaged.Path)).Should().Throw<InvalidDataException>();
        Load();

        LiveTensors.Change(Load).Should().Be(Miscounted(folder));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Fault)]
    public void Weights_that_are_cut_short_leave_nothing_behind(string folder)
    {
        using var damaged = Damaged(folder, path => File.WriteAllBytes(path, File.ReadAllBytes(path)[..^1]));
        void Load() => FluentActions.Invoking(() => DiffusersModel.Load(damaged.Path)).Should().Throw<InvalidDataException>();
        Load();

        LiveTensors.Change(Load).Should().Be(0, "the network is not created before the header of the weights was read");
    }

    private static long Miscounted(string folder)
    {
        using var model = DiffusersModel.Load(FolderFixture.PathOf(folder));
        return LiveTensors.Miscounted(model.Network);
    }

    private static TemporaryFolder Damaged(string source, Action<string> damage)
    {
        var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(FolderFixture.PathOf(source)))
            File.Copy(file, folder.File(Path.GetFileName(file)));
        damage(Directory.GetFiles(folder.Path, "*model.safetensors").Single());
        return folder;
    }

    /// <summary>One more row in the last tensor, which is reached when all the others have been looked at.</summary>
    private static void Stretched(string path)
    {
        using var scope = NewDisposeScope();
        var tensors = Safetensors.Load(path);
        var last = tensors.Keys.Order(StringComparer.Ordinal).Last();
        Safetensors.Save(path, tensors.Select(pair => new KeyValuePair<string, Tensor>(
            pair.Key, pair.Key == last ? cat([pair.Value, pair.Value]) : pair.Value)));
    }
}
