using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The kernel for channels-last images against Wu and He 2018, eq. 1, and Elfwing et al. 2017, by operators in float64.</summary>
public class HostGroupNormTests
{
    public static TheoryData<int, int, int, bool> Sizes => new(
        from channels in new[] { (16, 1), (16, 16), (32, 4), (48, 16), (64, 32), (96, 32), (144, 16), (160, 32) }
        from side in new[] { 1, 3, 12 }
        where channels.Item1 / channels.Item2 * side * side >= 4
        from activates in new[] { false, true }
        select (channels.Item1, channels.Item2, side, activates));

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Output_and_gradients_are_those_of_the_operators(int channels, int groups, int side, bool activates)
    {
        using var scope = NewDisposeScope();
        var inputs = Draw(channels, side, mean: 0.5);
        var exact = Run(x => Exact(x, groups, activates), inputs, ScalarType.Float64);

        var host = Run(x => Host(x, groups, activates), inputs, ScalarType.Float32);

        for (var k = 0; k < exact.Length; k++)
        {
            var scale = Math.Max(1, exact[k].abs().max().item<double>());
            host[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>().Should().BeLessThan(1e-6 * scale);
        }
    }

    [Fact]
    public void A_mean_far_from_zero_costs_no_digits_beyond_those_of_the_input()
    {
        using var scope = NewDisposeScope();
        var inputs = Draw(32, 24, mean: 1000);
        var exact = Run(x => Exact(x, 8, false), inputs, ScalarType.Float64);

        var host = Run(x => Host(x, 8, false), inputs, ScalarType.Float32);

        // The mean itself is rounded to 3e-5 of the deviation.
        for (var k = 0; k < exact.Length; k++)
            host[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>().Should().BeLessThan(6e-5 * exact[k].abs().max().item<double>());
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        using var scope = NewDisposeScope();
        var inputs = Draw(64, 9, mean: 0);
        var before = get_num_threads();
        try
        {
            var runs = new[] { 1, 3 }.Select(threads =>
            {
                set_num_threads(threads);
                return Run(x => Host(x, 8, true), inputs, ScalarType.Float32);
            }).ToArray();
            runs[0].Zip(runs[1], (one, other) => one.eq(other).all().item<bool>()).Should().AllBeEquivalentTo(true);
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Theory]
    [InlineData(100.0)]
    [InlineData(-100.0)]
    [InlineData(-1e4)]
    public void SiLU_and_its_slope_are_finite_far_from_zero(double bias)
    {
        using var scope = NewDisposeScope();
        var inputs = Draw(16, 4, mean: 0);
        inputs[2].fill_(bias);
        var exact = Run(x => Exact(x, 4, true), inputs, ScalarType.Float64);

        var host = Run(x => Host(x, 4, true), inputs, ScalarType.Float32);

        for (var k = 0; k < exact.Length; k++)
        {
            var scale = Math.Max(1, exact[k].abs().max().item<double>());
            host[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>().Should().BeLessThan(1e-6 * scale);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void NaN_fills_its_group_and_no_other(bool activates)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var inputs = Draw(32, 5, mean: 0).Select(input => input.to(ScalarType.Float32)).ToArray();
        inputs[0][1, 9, 2, 2] = float.NaN;

        var normed = Host([ChannelsLast.Of(inputs[0]), inputs[1], inputs[2]], 4, activates);

        normed.isnan().sum().item<long>().Should().Be(8 * 25);
        normed[1, TensorIndex.Slice(8, 16)].isnan().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Gradients_have_gradients()
    {
        using var scope = NewDisposeScope();
        var inputs = Draw(16, 4, mean: 0);

        Tensor[] Twice(Func<Tensor[], Tensor> norm, ScalarType type)
        {
            var leaves = Leaves(inputs, type);
            var first = autograd.grad([norm(leaves)], leaves[..3], [leaves[3]], retain_graph: true, create_graph: true);
            first.Select(gradient => gradient.mul(gradient).sum()).Aggregate((sum, next) => sum.add(next)).backward();
            return [.. leaves.Select(leaf => leaf.grad!)];
        }

        var exact = Twice(x => Exact(x, 4, true), ScalarType.Float64);
        var host = Twice(x => Host(x, 4, true), ScalarType.Float32);
        for (var k = 0; k < exact.Length; k++)
            host[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>().Should().BeLessThan(1e-5 * exact[k].abs().max().item<double>());
    }

    [Fact]
    public void The_gradient_by_the_input_has_its_layout_and_nothing_stays_behind()
    {
        using var scope = NewDisposeScope();
        using var norm = new GroupNormalization(4, 16) { Activation = Activation.Silu };
        var x = ChannelsLast.Of(randn(2, 16, 6, 6)).detach().requires_grad_();
        void Step()
        {
            using var inner = NewDisposeScope();
            norm.call(x).sum().backward();
            x.grad!.stride().Should().Equal(x.stride());
            x.grad = null;
        }

        Step();
        LiveTensors.Change(Step).Should().Be(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_network_gives_the_same_in_either_layout(bool scaleShift)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        using var network = new UNet(new UNetOptions
        {
            ImageSize = 8,
            Width = 16,
            Multipliers = [1, 2],
            AttentionResolutions = [4],
            HeadWidth = 8,
            GroupNormGroups = 8,
            ScaleShift = scaleShift,
            ZeroOutput = false,
        });
        var (x, t, upstream) = (randn(4, 3, 8, 8), tensor(new long[] { 3, 500, 7, 999 }), randn(4, 3, 8, 8));

        Tensor[] Gradients(ScalarType type)
        {
            network.to(type);
            foreach (var parameter in network.parameters())
                parameter.grad = null;
            var leaf = x.to(type).detach().requires_grad_();
            var output = network.call(leaf, t, null);
            output.is_contiguous().Should().BeTrue();
            output.backward([upstream.to(type)]);
            return [output.detach(), leaf.grad!, .. network.parameters().Select(parameter => parameter.grad!.clone())];
        }

        // float64 has no kernel here, and keeps the layout of the input.
        var single = Gradients(ScalarType.Float32);
        var exact = Gradients(ScalarType.Float64);
        var scale = exact.Skip(2).Max(gradient => gradient.abs().max().item<double>());
        for (var k = 0; k < exact.Length; k++)
        {
            single[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>()
                .Should().BeLessThan(5e-6 * (k < 2 ? exact[k].abs().max().item<double>() : scale));
        }
    }

    private static Tensor[] Draw(int channels, int side, double mean)
    {
        using var generator = new Generator(13);
        Tensor Of(params long[] shape) => randn(shape, generator: generator);
        Tensor[] drawn = [Of(2, channels, side, side).add(mean), Of(channels), Of(channels), Of(2, channels, side, side)];
        return [.. drawn.Select(tensor => tensor.to(ScalarType.Float64))];
    }

    private static Tensor[] Leaves(Tensor[] inputs, ScalarType type)
        => [ChannelsLast.Of(inputs[0].to(type)).detach().requires_grad_(), .. inputs[1..].Select(input => input.to(type).detach().requires_grad_())];

    private static Tensor[] Run(Func<Tensor[], Tensor> norm, Tensor[] inputs, ScalarType type)
    {
        var leaves = Leaves(inputs, type);
        var output = norm(leaves);
        output.backward([inputs[3].to(type)]);
        return [output.detach(), .. leaves[..3].Select(leaf => leaf.grad!)];
    }

    private static Tensor Host(Tensor[] x, int groups, bool activates)
    {
        HostGroupNorm.Takes(x[0], x[1]).Should().BeTrue();
        return HostGroupNorm.Run(x[0], groups, x[1], x[2], 1e-5, activates);
    }

    private static Tensor Exact(Tensor[] x, int groups, bool activates)
    {
        var normed = nn.functional.group_norm(x[0], groups, x[1], x[2], 1e-5);
        return activates ? normed.mul(normed.sigmoid()) : normed;
    }
}
