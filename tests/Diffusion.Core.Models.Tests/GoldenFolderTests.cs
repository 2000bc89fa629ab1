using Diffusion.Core.Testing;

namespace Diffusion.Core.Models.Tests;

/// <summary>No folder of reference values is passed over.</summary>
[Trait(Category.Name, Category.Golden)]
public class GoldenFolderTests
{
    public static TheoryData<string> Folders => [.. GoldenCase.All];

    [Theory]
    [MemberData(nameof(Folders))]
    public void The_network_of_a_folder_is_of_a_class_that_is_checked(string folder)
    {
        IEnumerable<string>[] sets =
        [
            UNetGoldenTests.Folders.Select(row => row.Data), DiTGoldenTests.Folders.Select(row => row.Data), TransformerGoldenTests.Folders.Select(row => row.Data),
            AutoencoderGoldenTests.KlFolders.Select(row => row.Data), AutoencoderGoldenTests.VqFolders.Select(row => row.Data),
        ];

        // Text encoders are checked beside their tokenizers, by Diffusion.Core.Diffusers.Tests.
        var isText = GoldenCase.ClassOf(folder) is "CLIPTextModel" or "CLIPTextModelWithProjection";

        (isText ? 1 : sets.Count(set => set.Contains(folder))).Should().Be(1, "'{0}' must be a class that is known", GoldenCase.ClassOf(folder));
    }
}
