using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The kernel for narrow heads against Vaswani et al. 2017, eq. 1, written out in float64.</summary>
public class HostAttentionTests
{
    private const int Batch = 2;

    public static TheoryData<int, int, int, int> Sizes => new(
        from width in new[] { 1, 3, 8, 12, 16 }
        from tokens in new[] { (1, 1), (5, 9), (32, 64), (33, 65), (100, 20), (64, 200) }
        select (width, tokens.Item1, tokens.Item2, 3));

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Output_and_gradients_are_those_of_softmax_attention(int width, int queries, int keys, int heads)
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(width, queries, keys, heads, scale: 1);
        var exact = Run(leaves => Exact(leaves, heads), inputs, upstream, ScalarType.Float64);

        var host = Run(leaves => HostAttention.Run(leaves[0], leaves[1], leaves[2], heads), inputs, upstream, ScalarType.Float32);

        // Gradients by a single key are zero: what is left of them is measured by the size of the others.
        var scale = exact.Max(tensor => tensor.abs().max().item<double>());
        for (var k = 0; k < exact.Length; k++)
            Error(host[k], exact[k]).Should().BeLessThan(1.5e-6 * scale);
    }

    [Fact]
    public void Without_gradients_the_output_is_the_same_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(8, 50, 40, 3, scale: 1);
        var singles = inputs.Select(input => input.to(ScalarType.Float32)).ToArray();

        var with = Run(leaves => HostAttention.Run(leaves[0], leaves[1], leaves[2], 3), inputs, upstream, ScalarType.Float32)[0];

        using var gradientsOff = no_grad();
        IsSame(HostAttention.Run(singles[0], singles[1], singles[2], 3), with).Should().BeTrue();
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(8, 70, 90, 4, scale: 1);
        var before = get_num_threads();
        try
        {
            var runs = new[] { 1, 3 }.Select(threads =>
            {
                set_num_threads(threads);
                return Run(leaves => HostAttention.Run(leaves[0], leaves[1], leaves[2], 4), inputs, upstream, ScalarType.Float32);
            }).ToArray();
            runs[0].Zip(runs[1], IsSame).Should().AllBeEquivalentTo(true);
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Fact]
    public void Logits_of_any_size_are_shifted_before_the_exponential()
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(8, 40, 150, 2, scale: 40);
        var exact = Run(leaves => Exact(leaves, 2), inputs, upstream, ScalarType.Float64);

        var host = Run(leaves => HostAttention.Run(leaves[0], leaves[1], leaves[2], 2), inputs, upstream, ScalarType.Float32);

        // A logit of 1,000 has an error of 1e-4 in float32, and so have its exponential and the gradients.
        for (var k = 0; k < exact.Length; k++)
            Error(host[k], exact[k]).Should().BeLessThan(6e-4 * exact[k].abs().max().item<double>());
    }

    [Theory]
    [InlineData(float.NaN, 0)]
    [InlineData(float.NaN, 1)]
    [InlineData(float.NaN, 2)]
    [InlineData(float.PositiveInfinity, 0)]
    [InlineData(float.PositiveInfinity, 2)]
    public void What_is_not_finite_stays_so(float value, int input)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var (inputs, _) = Draw(8, 40, 70, 2, scale: 1);
        var singles = inputs.Select(tensor => tensor.to(ScalarType.Float32)).ToArray();
        singles[input][1, 3, 2] = value;
        var expected = Exact(singles, 2).isfinite();

        IsSame(HostAttention.Run(singles[0], singles[1], singles[2], 2).isfinite(), expected).Should().BeTrue();
    }

    [Fact]
    public void Gradients_have_gradients()
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(8, 12, 10, 2, scale: 1);

        Tensor[] Twice(Func<Tensor[], Tensor> attend, ScalarType type)
        {
            var leaves = inputs.Select(input => input.to(type).detach().requires_grad_()).ToArray();
            var first = autograd.grad([attend(leaves)], leaves, [upstream.to(type)], retain_graph: true, create_graph: true);
            first.Select(gradient => gradient.mul(gradient).sum()).Aggregate((sum, next) => sum.add(next)).backward();
            return [.. leaves.Select(leaf => leaf.grad!)];
        }

        var exact = Twice(leaves => Exact(leaves, 2), ScalarType.Float64);
        var host = Twice(leaves => HostAttention.Run(leaves[0], leaves[1], leaves[2], 2), ScalarType.Float32);
        for (var k = 0; k < exact.Length; k++)
            Error(host[k], exact[k]).Should().BeLessThan(1e-5 * exact[k].abs().max().item<double>());
    }

    [Fact]
    public void An_input_without_gradient_gets_none()
    {
        using var scope = NewDisposeScope();
        var (inputs, upstream) = Draw(8, 6, 6, 2, scale: 1);
        var singles = inputs.Select(input => input.to(ScalarType.Float32)).ToArray();
        singles[1].requires_grad_();

        HostAttention.Run(singles[0], singles[1], singles[2], 2).backward([upstream.to(ScalarType.Float32)]);

        singles[0].grad.Should().BeNull();
        singles[1].grad.Should().NotBeNull();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void An_error_in_the_backward_pass_ends_it_and_is_kept(int required)
    {
        using var scope = NewDisposeScope();
        var leaves = Enumerable.Range(0, 3).Select(k => ones([1, 1, 1]).requires_grad_(k == required)).ToArray();

        FluentActions.Invoking(() => Failing.Run(leaves).sum().backward()).Should().Throw<System.Runtime.InteropServices.ExternalException>();

        GradientCheckpointing.LastFailure.Should().BeOfType<InvalidOperationException>().Which.Message.Should().Be("no gradient");
    }

    [Fact]
    public void Nothing_stays_behind()
    {
        using var x = randn([2, 40, 16], requires_grad: true);
        void Step()
        {
            using var scope = NewDisposeScope();
            HostAttention.Run(x, x, x, 2).sum().backward();
            x.grad = null;
        }

        Step();
        LiveTensors.Change(Step).Should().Be(0);
    }

    private static (Tensor[] Inputs, Tensor Upstream) Draw(int width, int queries, int keys, int heads, double scale)
    {
        using var generator = new Generator(11);
        Tensor Of(int tokens, double factor)
            => randn([Batch, tokens, heads * width], generator: generator).mul(factor).to(ScalarType.Float64);
        return ([Of(queries, scale), Of(keys, scale), Of(keys, scale)], Of(queries, 1));
    }

    private static Tensor[] Run(Func<Tensor[], Tensor> attend, Tensor[] inputs, Tensor upstream, ScalarType type)
    {
        var leaves = inputs.Select(input => input.to(type).detach().requires_grad_()).ToArray();
        var output = attend(leaves);
        output.backward([upstream.to(type)]);
        return [output.detach(), .. leaves.Select(leaf => leaf.grad!)];
    }

    private static Tensor Exact(Tensor[] inputs, int heads)
    {
        Tensor Split(Tensor x) => x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);
        var (query, key, value) = (Split(inputs[0]), Split(inputs[1]), Split(inputs[2]));
        return query.matmul(key.transpose(2, 3)).div(Math.Sqrt(query.shape[3])).softmax(-1).matmul(value).transpose(1, 2).flatten(2);
    }

    private static bool IsSame(Tensor one, Tensor other) => one.eq(other).all().item<bool>();

    private static double Error(Tensor single, Tensor exact) => single.to(ScalarType.Float64).sub(exact).abs().max().item<double>();

    /// <summary>A function of three tensors whose backward pass throws, as one that finds no memory does.</summary>
    private sealed class Failing : autograd.SingleTensorFunction<Failing>
    {
        public override string Name => nameof(Failing);

        public static Tensor Run(Tensor[] inputs) => apply([.. inputs, ReturnedGradients.OfThisThread]);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("failures", vars[3]);
            return ((Tensor)vars[0]).clone();
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
            => ReturnedGradients.Compute(
                4,
                ..3,
                (ReturnedGradients.Failures)ctx.get_data("failures")!,
                grad_output,
                _ => throw new InvalidOperationException("no gradient"));
    }
}
