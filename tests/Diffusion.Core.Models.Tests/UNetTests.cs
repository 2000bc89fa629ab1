using Diffusion.Core.Testing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class UNetTests
{
    private static readonly UNetOptions Small = new()
    {
        ImageSize = 8,
        Channels = 1,
        Width = 8,
        Multipliers = [1, 2],
        LayersPerBlock = 1,
        ZeroOutput = false,
    };

    public static TheoryData<bool, bool, int?, int?, int> Architectures
    {
        get
        {
            var data = new TheoryData<bool, bool, int?, int?, int>();
            foreach (var scaleShift in new[] { false, true })
            {
                foreach (var attention in new[] { false, true })
                {
                    foreach (var headWidth in new int?[] { null, 4 })
                    {
                        foreach (var classes in new int?[] { null, 3 })
                        {
                            foreach (var size in new[] { 28, 32, 17, 14 })
                                data.Add(scaleShift, attention, headWidth, classes, size);
                        }
                    }
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Every_architecture_answers_each_sample_as_if_it_were_alone(bool scaleShift, bool attention, int? headWidth, int? classes, int size)
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetOptions
        {
            ImageSize = size,
            Channels = 2,
            Width = 8,
            Multipliers = [1, 2, 2],
            LayersPerBlock = 1,
            ScaleShift = scaleShift,
            ResidualResampling = scaleShift,
            AttentionResolutions = attention ? [scaleShift ? size / 2 : (size + 1) / 2] : [],
            HeadWidth = headWidth,
            Classes = classes,
            ZeroOutput = false,
        }).to(ScalarType.Float64);
        var x = randn([3, 2, size, size], dtype: ScalarType.Float64);
        var t = tensor(new long[] { 0, 500, 999 });
        var labels = classes is null ? null : tensor(new long[] { 0, 2, 1 });

        var together = unet.Answer(x, t, labels);

        together.shape.Should().Equal(3, 2, size, size);
        for (var k = 0; k < 3; k++)
        {
            var alone = unet.Answer(x.narrow(0, k, 1), t.narrow(0, k, 1), labels?.narrow(0, k, 1));
            alone.sub(together.narrow(0, k, 1)).abs().max().item<double>().Should().BeLessThan(1e-12);
        }
    }

    [Fact]
    public void In_single_precision_a_sample_alone_is_the_sample_of_the_batch()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small with { Classes = 4, AttentionResolutions = [4] });
        var x = randn(5, 1, 8, 8);
        var t = tensor(new long[] { 0, 10, 100, 500, 999 });
        var labels = tensor(new long[] { 0, 1, 2, 3, 0 });

        var together = unet.Answer(x, t, labels);
        var alone = unet.Answer(x.narrow(0, 3, 1), t.narrow(0, 3, 1), labels.narrow(0, 3, 1));

        alone.sub(together.narrow(0, 3, 1)).abs().max().item<float>().Should().BeLessThan(1e-6f);
    }

    [Theory]
    [InlineData(12, 20)]
    [InlineData(5, 9)]
    [InlineData(1, 1)]
    public void Images_need_not_be_square_or_of_the_size_in_the_options(int height, int width)
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small);

        unet.Answer(randn(2, 1, height, width), tensor(new long[] { 1, 2 }), null).shape.Should().Equal(2, 1, height, width);
    }

    [Fact]
    public void Time_class_and_data_all_matter()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small with { Classes = 2 });
        var x = randn(1, 1, 8, 8);
        Tensor Answer(Tensor data, long t, long label) => unet.Answer(data, tensor(new[] { t }), tensor(new[] { label }));
        double Change(Tensor other) => other.sub(Answer(x, 10, 0)).abs().max().item<float>();

        Change(Answer(x, 10, 0)).Should().Be(0);
        Change(Answer(x, 11, 0)).Should().BeGreaterThan(1e-5);
        Change(Answer(x, 10, 1)).Should().BeGreaterThan(1e-3);
        Change(Answer(x.add(0.1), 10, 0)).Should().BeGreaterThan(1e-4);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Gradients_are_those_of_finite_differences(bool scaleShift, bool residualResampling)
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small with
        {
            ScaleShift = scaleShift,
            ResidualResampling = residualResampling,
            AttentionResolutions = [3],
            ImageSize = residualResampling ? 7 : 6,
            HeadWidth = 8,
            Classes = 2,
        }).to(ScalarType.Float64);
        var size = unet.Layout.ImageSize;
        var x = randn([2, 1, size, size], dtype: ScalarType.Float64).requires_grad_(true);
        var weights = randn([2, 1, size, size], dtype: ScalarType.Float64);
        var t = tensor(new long[] { 3, 700 });
        var labels = tensor(new long[] { 1, 0 });

        GradientCheck.LargestError(() => unet.Answer(x, t, labels).mul(weights).sum(), unet.parameters().Append(x)).Should().BeLessThan(3e-7);
    }

    [Fact]
    public void Every_group_norm_starts_as_the_plain_normalisation()
    {
        using var unet = new UNet(Small with { AttentionResolutions = [8, 4] });

        var norms = unet.named_parameters().Where(pair => pair.name.Contains("norm", StringComparison.Ordinal)).ToArray();
        unet.modules().OfType<GroupNormalization>().Should().HaveCount(norms.Length / 2);
        foreach (var (name, parameter) in norms)
        {
            var expected = name.EndsWith("weight", StringComparison.Ordinal) ? 1f : 0f;
            parameter.data<float>().ToArray().Should().OnlyContain(value => value == expected, name);
        }
    }

    [Fact]
    public void The_number_of_parameters_is_that_of_known_networks()
    {
        var cifar = new UNetOptions
        {
            Width = 128,
            Multipliers = [1, 2, 2, 2],
            AttentionResolutions = [16],
            DownsamplePadding = 0,
        };
        var digits = new UNetOptions
        {
            ImageSize = 28,
            Channels = 1,
            Width = 8,
            Multipliers = [3, 6, 8],
            LayersPerBlock = 1,
            AttentionResolutions = [7],
            HeadWidth = 16,
            Classes = 11,
        };

        using var ddpm = new UNet(cifar);
        using var mnist = new UNet(digits);
        using var plain = new UNet(new UNetOptions { Channels = 1 });
        using var small = new UNet(new UNetOptions { Channels = 1, Width = 32, LayersPerBlock = 1, Classes = 10 });

        ModuleWeights.Count(ddpm).Should().Be(35_746_307);
        ModuleWeights.Count(mnist).Should().Be(874_057);
        ModuleWeights.Count(plain).Should().Be(6_138_369);
        ModuleWeights.Count(small).Should().Be(1_063_777);
    }

    [Fact]
    public void By_default_the_first_prediction_is_zero_and_the_network_still_learns()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetOptions { Channels = 1, Width = 8, LayersPerBlock = 1 });

        var output = unet.Answer(randn(1, 1, 8, 8), tensor(new long[] { 5 }), null);
        output.sub(1).pow(2).mean().backward();

        output.abs().max().item<float>().Should().Be(0);
        unet.get_parameter("conv_out.weight")!.grad!.abs().max().item<float>().Should().BePositive();
    }

    [Fact]
    public void Inside_another_module_the_names_stay_what_they_are()
    {
        using var unet = new UNet(Small with { Classes = 2, AttentionResolutions = [4] });
        var names = unet.state_dict().Keys.ToArray();
        var parameters = ModuleWeights.Count(unet);
        using var holder = new ModuleList<UNet>(unet);
        using var outer = new ModuleList<ModuleList<UNet>>(holder);
        outer.register_module("0", holder);

        outer.state_dict().Keys.Should().BeEquivalentTo(names.Select(name => "0.0." + name));
        ModuleWeights.Count(outer).Should().Be(parameters);
    }

    [Fact]
    public void Live_tensors_stay_constant_over_training_and_inference()
    {
        using var unet = new UNet(Small with { AttentionResolutions = [4], Classes = 3, Dropout = 0.1, ScaleShift = true });
        using var x = randn(2, 1, 8, 8);
        using var t = tensor(new long[] { 1, 2 });
        using var labels = tensor(new long[] { 0, 2 });
        void Train()
        {
            using var scope = NewDisposeScope();
            unet.Answer(x, t, labels).pow(2).mean().backward();
        }

        void Infer()
        {
            using var guard = no_grad();
            using var output = unet.Predict(x, t, Condition.Create(labels: labels));
        }

        Train();
        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 10; i++)
            {
                Train();
                Infer();
            }
        }).Should().Be(0);
    }

    [Fact]
    public void A_disposed_network_frees_its_parameters()
    {
        var unet = new UNet(Small with { AttentionResolutions = [4], Classes = 3 });
        var parameters = unet.parameters().ToArray();

        unet.Dispose();

        parameters.Should().OnlyContain(parameter => parameter.IsInvalid);
    }

    [Fact]
    [Trait(Category.Name, Category.Gpu)]
    public void On_the_gpu_it_answers_as_on_the_cpu()
    {
        Assert.SkipUnless(cuda.is_available(), "There is no CUDA device.");
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small with { AttentionResolutions = [4], Classes = 3 });
        var x = randn(2, 1, 8, 8);
        var t = tensor(new long[] { 1, 999 });
        var labels = tensor(new long[] { 0, 2 });

        var expected = unet.Answer(x, t, labels);
        unet.to(CUDA);
        var actual = unet.Answer(x.cuda(), t.cuda(), labels.cuda()).cpu();

        actual.sub(expected).abs().max().item<float>().Should().BeLessThan(1e-3f);
    }
}
