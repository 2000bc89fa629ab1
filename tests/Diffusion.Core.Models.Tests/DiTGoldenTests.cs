using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Golden)]
public class DiTGoldenTests
{
    public static TheoryData<string> Folders => GoldenCase.Folders("DiTTransformer2DModel");

    [Theory]
    [MemberData(nameof(Folders))]
    public void Names_output_loss_and_every_gradient_are_those_of_diffusers(string folder)
    {
        using var scope = NewDisposeScope();
        using var network = GoldenCase.Load<DiT>(folder);
        var io = GoldenCase.Values(folder);

        ModuleWeights.Count(network).Should().Be(network.Options.CountParameters());
        GoldenCase.ShouldMatch(network, network.Answer(io["hidden_states"], io["timestep"], io["class_labels"]), io);
    }
}
