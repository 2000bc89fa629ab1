using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Golden)]
public class UNetGoldenTests
{
    // The reference is float32: relative to the largest value of each tensor, and for gradients (some of which are zero but for rounding,
    // such as those of the bias of keys) to no less than a hundredth of the largest gradient of the network.
    private const double Tolerance = 2e-5;

    public static TheoryData<string> Folders => GoldenCase.Folders("UNet2DModel", "UNet2DConditionModel");

    public static TheoryData<string> FoldersWithOutputs =>
        [.. Folders.Select(row => row.Data).Where(folder => Inputs(folder) is { } path && Holds(path, "output"))];

    [Theory]
    [MemberData(nameof(Folders))]
    public void Names_and_shapes_are_those_of_diffusers(string folder)
    {
        using var unet = GoldenCase.Load<UNet>(folder);
        using var file = SafetensorsFile.Open(Path.Combine(TestData.Golden, folder, "diffusion_pytorch_model.safetensors"));

        unet.state_dict().Keys.Should().BeEquivalentTo(file.Names);
        foreach (var (name, tensor) in unet.state_dict())
            tensor.shape.Should().Equal([.. file[name].Shape], name);
    }

    [Theory]
    [MemberData(nameof(FoldersWithOutputs))]
    public void Output_loss_and_every_gradient_match_diffusers(string folder)
    {
        using var scope = NewDisposeScope();
        // In double, so that only the reference is rounded.
        using var unet = GoldenCase.Load<UNet>(folder);
        unet.to(ScalarType.Float64);
        var io = Safetensors.Load(Inputs(folder)!).ToDictionary(
            pair => pair.Key, pair => pair.Value.is_floating_point() ? pair.Value.to(ScalarType.Float64) : pair.Value);

        var output = unet.Predict(io["sample"], io["timestep"], GoldenUNet.ConditionOf(io));
        var loss = output.sub(io["target"]).pow(2).mean();
        loss.backward();

        Difference(output, io["output"]).Should().BeLessThan(Tolerance * Largest(io["output"]));
        Difference(loss, io["loss"]).Should().BeLessThan(Tolerance * Largest(io["loss"]));
        var gradients = unet.named_parameters().ToDictionary(pair => "grad." + pair.name, pair => pair.parameter.grad!);
        var references = io.Where(pair => pair.Key.StartsWith("grad.", StringComparison.Ordinal)).ToArray();
        references.Should().NotBeEmpty();
        var floor = 0.01 * references.Max(pair => Largest(pair.Value));
        foreach (var (name, expected) in references)
            Difference(gradients[name], expected).Should().BeLessThan(Tolerance * Math.Max(Largest(expected), floor), name);
    }

    [Theory]
    [MemberData(nameof(FoldersWithOutputs))]
    public void In_float32_and_bfloat16_the_output_is_that_of_diffusers_too(string folder)
    {
        using var scope = NewDisposeScope();
        using var guard = no_grad();
        using var unet = GoldenCase.Load<UNet>(folder);
        var io = Safetensors.Load(Inputs(folder)!);
        double Error(ScalarType type)
        {
            unet.to(type);
            var cast = io.ToDictionary(pair => pair.Key, pair => pair.Value.is_floating_point() ? pair.Value.to(type) : pair.Value);
            var output = unet.Predict(cast["sample"], io["timestep"], GoldenUNet.ConditionOf(cast));
            output.dtype.Should().Be(type);
            var expected = io["output"].to(ScalarType.Float64);
            return Difference(output.to(ScalarType.Float64), expected) / Largest(expected);
        }

        Error(ScalarType.Float32).Should().BeLessThan(Tolerance);
        Error(ScalarType.BFloat16).Should().BeLessThan(0.1);
    }

    [Fact]
    public void The_first_training_step_has_the_loss_and_the_gradient_norm_of_pytorch()
    {
        using var scope = NewDisposeScope();
        var folder = Path.Combine("models", "train-trajectory");
        using var unet = GoldenCase.Load<UNet>(folder);
        var io = Safetensors.Load(Inputs(folder)!);
        var (x0, t, noise) = (io["x0"][0], io["t"][0], io["noise"][0]);
        var signal = tensor(t.data<long>().Select(AlphaBar).ToArray(), dtype: ScalarType.Float32).view(-1, 1, 1, 1);

        var xt = x0.mul(signal.sqrt()).add(noise.mul(signal.neg().add(1).sqrt()));
        var loss = unet.Answer(xt, t, null).sub(noise).pow(2).mean();
        loss.backward();
        var norm = Math.Sqrt(unet.parameters().Sum(parameter => parameter.grad!.to(ScalarType.Float64).pow(2).sum().item<double>()));

        loss.item<float>().Should().BeApproximately(io["losses"][0].item<float>(), 2e-6f);
        var expectedNorm = io["grad_norms"][0].item<float>();
        norm.Should().BeApproximately(expectedNorm, 1e-5 * expectedNorm);

        // The linear schedule that the metadata of the file names.
        static double AlphaBar(long t)
            => Enumerable.Range(0, (int)t + 1).Aggregate(1.0, (product, i) => product * (1 - (1e-4 + ((0.02 - 1e-4) * i / 999))));
    }

    private static string? Inputs(string folder)
    {
        var path = Path.Combine(TestData.Golden, folder, "io.safetensors");
        return File.Exists(path) ? path : null;
    }

    private static bool Holds(string path, string name)
    {
        using var file = SafetensorsFile.Open(path);
        return file.Contains(name);
    }

    private static double Difference(Tensor actual, Tensor expected)
    {
        actual.shape.Should().Equal(expected.shape);
        return Largest(actual.sub(expected));
    }

    private static double Largest(Tensor values) => values.abs().max().item<double>();
}
