using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class ModuleWeightsTests
{
    private static readonly UNetOptions Small = new()
    {
        ImageSize = 8,
        Channels = 1,
        Width = 8,
        Multipliers = [1, 2],
        LayersPerBlock = 1,
        Classes = 2,
    };

    [Fact]
    public void Weights_come_back_bit_for_bit_into_the_same_parameters()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var source = new UNet(Small);
        using var target = new UNet(Small);
        var parameters = target.parameters().ToArray();
        var path = folder.File("unet.safetensors");

        ModuleWeights.Save(source, path, new Dictionary<string, string> { ["format"] = "pt" });
        ModuleWeights.Load(target, path);

        target.parameters().Should().Equal(parameters, ReferenceEquals);
        var expected = source.state_dict();
        foreach (var (name, tensor) in target.state_dict())
            tensor.data<float>().ToArray().Should().Equal(expected[name].data<float>().ToArray(), name);
        target.parameters().Should().OnlyContain(parameter => parameter.requires_grad);
    }

    [Fact]
    public void Weights_are_cast_to_the_type_of_the_module()
    {
        using var folder = new TemporaryFolder();
        using var source = new UNet(Small);
        using var target = new UNet(Small).to(ScalarType.Float64);
        var path = folder.File("unet.safetensors");

        ModuleWeights.Save(source, path);
        ModuleWeights.Load(target, path);

        var bias = target.get_parameter("conv_in.bias")!;
        bias.dtype.Should().Be(ScalarType.Float64);
        bias.data<double>().ToArray().Should().Equal(source.get_parameter("conv_in.bias")!.data<float>().ToArray().Select(value => (double)value));
    }

    [Fact]
    public void Tensors_of_another_type_and_under_other_names_are_reported()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var source = new UNet(Small);
        using var target = new UNet(Small);
        var expected = source.state_dict().ToDictionary(pair => pair.Key, pair => pair.Value.to(ScalarType.BFloat16));
        Safetensors.WriteSharded(
            folder.Path,
            "model",
            [
                .. expected.Select(pair => SafetensorsSource.Of("net." + pair.Key, pair.Value)),
                SafetensorsSource.Of("optimizer.step", ones([1])),
            ],
            maxShardBytes: 2000);

        var report = ModuleWeights.Load(
            target,
            folder.Path,
            new WeightOptions { Rename = name => name.StartsWith("net.", StringComparison.Ordinal) ? name["net.".Length..] : null });

        Directory.GetFiles(folder.Path).Length.Should().BeGreaterThan(3);
        report.Converted.Should().HaveSameCount(expected).And.Contain("conv_in.weight: BF16 to Float32");
        report.Renamed.Should().HaveSameCount(expected).And.Contain("net.conv_in.weight to conv_in.weight");
        report.Ignored.Should().Equal("optimizer.step");
        foreach (var (name, tensor) in target.state_dict())
            tensor.ShouldBeIdentical(expected[name].to(ScalarType.Float32), name);
        FluentActions.Invoking(() => ModuleWeights.Load(target, folder.Path, new WeightOptions
        {
            Convert = false,
            Rename = name => name.StartsWith("net.", StringComparison.Ordinal) ? name["net.".Length..] : null,
        })).Should().Throw<InvalidDataException>().WithMessage("*must be of Float32, got BF16*");
    }

    [Fact]
    public void Weights_of_a_pointwise_convolution_fit_a_linear_layer_where_that_is_asked_for()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var linear = nn.Linear(2, 3);
        var path = folder.File("old.safetensors");
        var weight = arange(6, dtype: ScalarType.Float32);
        Safetensors.Save(path, [new("weight", weight.view(3, 2, 1, 1)), new("bias", ones([3]))]);

        ModuleWeights.Load(linear, path, new WeightOptions { IgnoreTrailingOnes = true });

        linear.weight.data<float>().ToArray().Should().Equal(0, 1, 2, 3, 4, 5);
        FluentActions.Invoking(() => ModuleWeights.Load(linear, path)).Should().Throw<InvalidDataException>().WithMessage("*'weight'*[3, 2]*[3, 2, 1, 1]*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_of_another_network_is_refused_whole()
    {
        using var folder = new TemporaryFolder();
        using var target = new UNet(Small);
        using var unconditional = new UNet(Small with { Classes = null });
        using var wider = new UNet(Small with { Channels = 2 });
        var before = target.get_parameter("conv_norm_out.bias")!.data<float>().ToArray();
        var path = folder.File("unet.safetensors");
        foreach (var other in new[] { unconditional, wider })
        {
            using (no_grad())
                other.get_parameter("conv_norm_out.bias")!.fill_(7);
        }

        ModuleWeights.Save(unconditional, path);
        FluentActions.Invoking(() => ModuleWeights.Load(target, path))
            .Should().Throw<InvalidDataException>().WithMessage("*unet.safetensors*1 missing (class_embedding.weight), none unexpected*");
        FluentActions.Invoking(() => ModuleWeights.Load(unconditional, Saved(target, path))).Should().Throw<InvalidDataException>()
            .WithMessage("*none missing, 1 unexpected (class_embedding.weight)*");
        FluentActions.Invoking(() => ModuleWeights.Load(target, Saved(wider, path)))
            .Should().Throw<InvalidDataException>().WithMessage("*'conv_in.weight'*[8, 1, 3, 3]*[8, 2, 3, 3]*");

        target.get_parameter("conv_norm_out.bias")!.data<float>().ToArray().Should().Equal(before);
    }

    private static string Saved(UNet unet, string path)
    {
        ModuleWeights.Save(unet, path);
        return path;
    }
}
