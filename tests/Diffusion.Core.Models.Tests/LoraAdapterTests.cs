using Diffusion.Core.Testing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class LoraAdapterTests
{
    private static readonly LoraOptions _everything = new() { Rank = 2, Alpha = 3, Targets = _ => true };

    [Fact]
    public void At_first_the_network_answers_as_before_and_its_names_stay()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        var before = Answer(network);
        string[] names = [.. network.state_dict().Keys];
        using var adapter = LoraAdapter.Inject(network, _everything);
        adapter.Targets.Count.Should().BeGreaterThan(20);
        Answer(network).ShouldBeIdentical(before, "answer");
        network.state_dict().Keys.Should().Equal(names);
        adapter.state_dict().Keys.Should().Contain(["conv_in.lora_A.weight", "mid_block.resnets.0.conv1.lora_B.weight"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_layer_acts_with_W_plus_alpha_over_r_B_A(bool convolution)
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using var layer = convolution
            ? (nn.Module<Tensor, Tensor>)nn.Conv2d(3, 4, 3L, stride: 2L, padding: 2L, dilation: 2L)
            : nn.Linear(3, 4);
        using var network = new ModuleList<nn.Module>(layer);
        network.register_module("layer", layer);
        using var adapter = LoraAdapter.Inject(network, _everything);
        Fill(adapter);
        adapter.Scale = 0.5;
        var weight = layer.get_parameter("weight")!;
        var x = convolution ? randn(2, 3, 9, 8) : randn(5, 3);
        var (a, b) = (adapter.get_parameter("layer.lora_A.weight")!, adapter.get_parameter("layer.lora_B.weight")!);
        b.shape[0].Should().Be(4);
        var expectedWeight = weight.clone();
        for (var k = 0; k < 2; k++)
            expectedWeight = expectedWeight.add(b.narrow(1, k, 1).mul(a.narrow(0, k, 1)).mul(0.5 * 3 / 2));
        var expected = convolution
            ? nn.functional.conv2d(x, expectedWeight, ((Conv2d)layer).bias, [2, 2], [2, 2], [2, 2])
            : nn.functional.linear(x, expectedWeight, ((Linear)layer).bias);
        layer.call(x).ShouldBeClose(expected, 1e-6, "answer");

        adapter.Merge();
        weight.ShouldBeClose(expectedWeight, 1e-6, "merged weight");
        layer.call(x).ShouldBeClose(expected, 1e-6, "merged answer");
    }

    [Fact]
    public void Merged_and_unmerged_networks_agree_and_unmerging_restores()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        var plain = Answer(network);
        using var adapter = LoraAdapter.Inject(network, _everything);
        Fill(adapter);
        var adapted = Answer(network);
        adapted.sub(plain).abs().max().item<float>().Should().BeGreaterThan(0.01f);
        adapter.Merge();
        adapter.IsMerged.Should().BeTrue();
        Answer(network).ShouldBeClose(adapted, 1e-5, "merged");
        adapter.Scale = 7;
        adapter.Unmerge();
        adapter.Scale = 0;
        Answer(network).ShouldBeClose(plain, 1e-5, "unmerged");
        adapter.Scale = 1;
        adapter.Remove();
        Answer(network).ShouldBeClose(plain, 1e-5, "removed");
        FluentActions.Invoking(adapter.Merge).Should().Throw<InvalidOperationException>().WithMessage("*removed*");
    }

    [Fact]
    public void Only_adapters_get_gradients_and_removal_unfreezes()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        network.parameters().First().requires_grad = false;
        using (var adapter = LoraAdapter.Inject(network, _everything))
        {
            Fill(adapter);
            Answer(network).pow(2).mean().backward();
            network.parameters().Should().OnlyContain(parameter => !parameter.requires_grad && ReferenceEquals(parameter.grad, null));
            adapter.parameters().Should().OnlyContain(parameter => parameter.grad!.abs().sum().item<float>() > 0);
            using var second = LoraAdapter.Inject(network, _everything, "second");
            adapter.Remove();
            network.parameters().Should().OnlyContain(parameter => !parameter.requires_grad);
        }

        network.parameters().Select(parameter => parameter.requires_grad).Should().Equal(
            network.parameters().Select((_, index) => index > 0));
    }

    [Fact]
    public void Gradients_agree_with_finite_differences()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        network.to(ScalarType.Float64);
        using var adapter = LoraAdapter.Inject(network, _everything);
        Fill(adapter);
        GradientCheck.LargestError(() => Answer(network).pow(2).mean(), adapter.parameters()).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void Several_adapters_add_up_whether_merged_or_not()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(3, 3);
        using var network = new ModuleList<Linear>();
        network.register_module("layer", layer);
        var x = randn(2, 3);
        var plain = layer.call(x);
        using var first = LoraAdapter.Inject(network, _everything, "first");
        using var second = LoraAdapter.Inject(network, _everything, "second");
        Fill(first);
        Fill(second);
        second.Scale = 0;
        var withFirst = layer.call(x).sub(plain);
        (first.Scale, second.Scale) = (0, 1);
        var withSecond = layer.call(x).sub(plain);
        first.Scale = 1;
        var both = plain.add(withFirst).add(withSecond);
        layer.call(x).ShouldBeClose(both, 1e-5, "both");
        first.Merge();
        layer.call(x).ShouldBeClose(both, 1e-5, "one merged");
        second.Merge();
        first.Unmerge();
        layer.call(x).ShouldBeClose(both, 1e-5, "the other merged");
    }

    [Fact]
    public void The_default_targets_are_the_projections_of_attention()
    {
        using var network = Network();
        using var adapter = LoraAdapter.Inject(network);
        adapter.Targets.Should().OnlyContain(name => name.Contains(".to_"));
        adapter.Targets.Should().Contain("mid_block.attentions.0.to_out.0");
    }

    [Fact]
    public void Dropout_acts_in_training_mode_only()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        using var adapter = LoraAdapter.Inject(network, _everything with { Dropout = 0.5 });
        Fill(adapter);
        Answer(network).Values().Should().NotEqual(Answer(network).Values());
        adapter.eval();
        Answer(network).ShouldBeIdentical(Answer(network), "evaluation");
    }

    [Fact]
    public void A_file_holds_the_adapter_under_the_names_of_diffusers()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = Network();
        var path = Path.Combine(folder.Path, "pytorch_lora_weights.safetensors");
        Tensor expected;
        using (var adapter = LoraAdapter.Inject(network, new LoraOptions { Rank = 2, Alpha = 3, Dropout = 0.25 }))
        {
            Fill(adapter);
            adapter.Save(path);
            adapter.eval();
            expected = Answer(network);
        }

        using (var file = SafetensorsFile.Open(path))
        {
            file.Names.Should().Contain("unet.mid_block.attentions.0.to_q.lora_A.weight").And.OnlyContain(
                name => name.StartsWith("unet.") && (name.EndsWith(".lora_A.weight") || name.EndsWith(".lora_B.weight")));
            file.Metadata["format"].Should().Be("pt");
            file.Metadata["lora_adapter_metadata"].Should().Contain("\"unet.lora_alpha\": 3").And.Contain("\"unet.r\": 2");
        }

        Answer(network).Values().Should().NotEqual(expected.Values());
        using var loaded = LoraAdapter.Load(network, path);
        loaded.Dropout.Should().Be(0.25);
        loaded.eval();
        Answer(network).ShouldBeIdentical(expected, "answer");
        var again = Path.Combine(folder.Path, "again.safetensors");
        loaded.Save(again);
        File.ReadAllBytes(again).Should().Equal(File.ReadAllBytes(path));
    }

    [Fact]
    public void Older_files_load_too_with_an_alpha_and_a_rank_for_each_layer()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = new ModuleList<nn.Module>();
        using var linear = nn.Linear(3, 4);
        using var convolution = nn.Conv2d(2, 3, 3L);
        network.register_module("a", linear);
        network.register_module("b", convolution);
        var path = Path.Combine(folder.Path, "old.safetensors");
        Safetensors.Save(path, new Dictionary<string, Tensor>
        {
            ["a.lora.down.weight"] = ones([2, 3]),
            ["a.lora.up.weight"] = ones([4, 2]),
            ["a.alpha"] = tensor(6.0f),
            ["b.lora_A.weight"] = ones([1, 2, 3, 3]),
            ["b.lora_B.weight"] = ones([3, 1, 1, 1]),
        });
        using var adapter = LoraAdapter.Load(network, path, prefix: null);
        var (before, kernel) = (linear.weight.clone(), convolution.weight.clone());
        adapter.Merge();
        linear.weight.sub(before).ShouldBeClose(full([4, 3], 6.0f), 1e-6, "2 ones, times 6/2");
        convolution.weight.sub(kernel).ShouldBeClose(ones([3, 2, 3, 3]), 1e-6, "alpha is the rank where none is given");

        var again = Path.Combine(folder.Path, "new.safetensors");
        adapter.Unmerge();
        adapter.Save(again, prefix: null);
        adapter.Remove();
        using var second = LoraAdapter.Load(network, again, prefix: null);
        second.Merge();
        linear.weight.sub(before).ShouldBeClose(full([4, 3], 6.0f), 1e-6, "rank and alpha by layer");
    }

    [Theory]
    [Trait(Category.Name, Category.Fault)]
    [InlineData("a.lora_A.weight", "2x3", "a.lora_B.weight", "4x3", "*must have shapes*")]
    [InlineData("a.lora_A.weight", "2x4", "a.lora_B.weight", "4x2", "*must have shapes*")]
    [InlineData("a.lora_A.weight", "2x3", "a.lora_C.weight", "4x2", "*a.lora_B.weight*missing*")]
    [InlineData("c.lora_A.weight", "2x3", "c.lora_B.weight", "4x2", "*there is no 'c'*")]
    [InlineData("a.bias", "4", "b.bias", "4", "*pairs of factors*a.bias*")]
    public void A_file_that_does_not_fit_is_refused_and_leaves_the_network_alone(
        string first, string firstShape, string second, string secondShape, string message)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = new ModuleList<nn.Module>();
        using var linear = nn.Linear(3, 4);
        network.register_module("a", linear);
        var path = Path.Combine(folder.Path, "wrong.safetensors");
        Safetensors.Save(path, new Dictionary<string, Tensor>
        {
            [first] = ones([.. firstShape.Split('x').Select(long.Parse)]),
            [second] = ones([.. secondShape.Split('x').Select(long.Parse)]),
        });
        FluentActions.Invoking(() => LoraAdapter.Load(network, path, prefix: null)).Should().Throw<InvalidDataException>().WithMessage(message);
        FluentActions.Invoking(() => LoraAdapter.Load(network, path)).Should().Throw<InvalidDataException>().WithMessage("*'unet.'*");
        linear.weight.requires_grad.Should().BeTrue();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void An_alpha_that_is_not_finite_is_refused()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = new ModuleList<nn.Module>();
        using var linear = nn.Linear(3, 4);
        network.register_module("a", linear);
        Safetensors.Save(folder.File("lora.safetensors"), new Dictionary<string, Tensor>
        {
            ["a.lora.down.weight"] = ones([2, 3]),
            ["a.lora.up.weight"] = ones([4, 2]),
            ["a.alpha"] = tensor(float.NaN),
        });

        FluentActions.Invoking(() => LoraAdapter.Load(network, folder.File("lora.safetensors"), prefix: null))
            .Should().Throw<InvalidDataException>().WithMessage("*'a.alpha' must be finite*NaN*");
        linear.weight.requires_grad.Should().BeTrue();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Wrong_options_are_refused()
    {
        using var network = Network();
        FluentActions.Invoking(() => LoraAdapter.Inject(network, new LoraOptions { Rank = 0 })).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LoraAdapter.Inject(network, new LoraOptions { Alpha = -1 })).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LoraAdapter.Inject(network, new LoraOptions { Dropout = 1 })).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LoraAdapter.Inject(network, new LoraOptions { Targets = _ => false })).Should().Throw<ArgumentException>()
            .WithMessage("*got none*");
        network.parameters().Should().OnlyContain(parameter => parameter.requires_grad);
    }

    [Fact]
    public void Live_tensors_stay_constant()
    {
        using var layer = nn.Linear(3, 3);
        using var network = new ModuleList<Linear>();
        network.register_module("layer", layer);
        using var adapter = LoraAdapter.Inject(network, _everything with { Dropout = 0.1 });
        using var x = ones([2, 3]);
        LiveTensors.Change(() =>
        {
            for (var k = 0; k < 10; k++)
            {
                using var y = layer.call(x);
                adapter.Merge();
                adapter.Unmerge();
            }
        }).Should().Be(0);
    }

    private static UNet Network()
    {
        manual_seed(4);
        return new UNet(new UNetOptions { ImageSize = 8, Channels = 1, Width = 8, Multipliers = [1, 2], LayersPerBlock = 1, ZeroOutput = false });
    }

    private static Tensor Answer(UNet network)
    {
        var dtype = network.parameters().First().dtype;
        var x = linspace(-1, 1, 2 * 64, dtype: dtype).reshape(2, 1, 8, 8);
        return network.Predict(x, tensor(new long[] { 3, 400 }));
    }

    private static void Fill(LoraAdapter adapter)
    {
        using var off = no_grad();
        foreach (var (name, parameter) in adapter.named_parameters())
        {
            if (name.EndsWith("lora_B.weight", StringComparison.Ordinal))
                parameter.normal_(0, 0.1);
        }
    }
}
