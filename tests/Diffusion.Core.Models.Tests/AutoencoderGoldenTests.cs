using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Golden)]
public class AutoencoderGoldenTests
{
    // Both sides are float32: relative to the largest value of each tensor, and for gradients (some of which are zero but for rounding,
    // such as those of the bias of keys) to no less than a hundredth of the largest gradient of the network.
    private const double Tolerance = 2e-5;

    public static TheoryData<string> KlFolders => GoldenCase.Folders(nameof(AutoencoderKL));

    public static TheoryData<string> VqFolders => GoldenCase.Folders(nameof(VQModel));

    [Theory]
    [MemberData(nameof(KlFolders))]
    public void Moments_reconstruction_loss_and_every_gradient_match_diffusers(string folder)
    {
        using var scope = NewDisposeScope();
        using var network = GoldenCase.Load<AutoencoderKL>(folder);
        var io = GoldenCase.Values(folder);

        var moments = network.Moments(io["sample"]);
        using var code = network.Encode(io["sample"]);
        var output = cat([moments.flatten(1), network.Decode(code.Mode).flatten(1)], 1);

        Difference(output, io["output"]).Should().BeLessThan(Tolerance * Largest(io["output"]));
        RequireGradients(network, output, io);
    }

    [Theory]
    [MemberData(nameof(VqFolders))]
    public void Reconstruction_codebook_loss_and_gradients_match_diffusers(string folder)
    {
        using var scope = NewDisposeScope();
        using var network = GoldenCase.Load<VQModel>(folder);
        var io = GoldenCase.Values(folder);

        var output = network.call(io["sample"]);

        Difference(output, io["output"]).Should().BeLessThan(Tolerance * Largest(io["output"]));
        if (!io.TryGetValue("commit_loss", out var commitment))
            return;
        using var code = network.Encode(io["sample"]);
        using var quantization = network.Quantize(code.Mode);
        Difference(quantization.Loss, commitment).Should().BeLessThan(Tolerance * Largest(commitment));
        RequireGradients(network, network.DecodeQuantized(quantization.Quantized), io, quantization.Loss);
    }

    [Theory]
    [MemberData(nameof(VqFolders))]
    public void Places_in_the_codebook_decode_to_what_their_latents_do(string folder)
    {
        using var scope = NewDisposeScope();
        using var network = GoldenCase.Load<VQModel>(folder);
        using var code = network.Encode(GoldenCase.Values(folder)["sample"]);
        using var quantization = network.Quantize(code.Mode);

        var expected = network.Decode(code.Mode);

        RelativeError.OfSamples(network.DecodeIndices(quantization.Indices), expected).Should().BeLessThan(1e-5);
        var without = network.Options.LookupFromCodebook ? quantization.Indices : quantization.Quantized;
        RelativeError.OfSamples(network.DecodeWithoutQuantization(without), expected).Should().BeLessThan(1e-5);
    }

    private static void RequireGradients(nn.Module network, Tensor output, Dictionary<string, Tensor> io, Tensor? extra = null)
    {
        var loss = output.sub(io["target"]).square().mean();
        Difference(loss, io["loss"]).Should().BeLessThan(Tolerance * Largest(io["loss"]));
        (extra is null ? loss : loss.add(extra)).backward();
        var gradients = network.named_parameters().ToDictionary(pair => "grad." + pair.name, pair => pair.parameter.grad!);
        var references = io.Where(pair => pair.Key.StartsWith("grad.", StringComparison.Ordinal)).ToArray();
        references.Should().NotBeEmpty();
        var floor = 0.01 * references.Max(pair => Largest(pair.Value));
        foreach (var (name, expected) in references)
            Difference(gradients[name], expected).Should().BeLessThan(Tolerance * Math.Max(Largest(expected), floor), name);
    }

    private static double Difference(Tensor actual, Tensor expected)
    {
        actual.shape.Should().Equal(expected.shape);
        return Largest(actual.sub(expected));
    }

    private static double Largest(Tensor values) => values.abs().max().item<float>();
}
