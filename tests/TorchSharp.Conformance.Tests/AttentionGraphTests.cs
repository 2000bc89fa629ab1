using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Attention of float32 as a part of a graph: what it keeps, whom it gives gradients, and what is no number.</summary>
public class AttentionGraphTests
{
    public static TheoryData<string> Ties => ["none", "all one tensor", "keys are queries", "keys are made of queries", "values are made of keys"];

    [Theory]
    [MemberData(nameof(Ties))]
    public void The_gradient_of_a_gradient_counts_every_way_once(string tie)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(1);
        var x = randn([3, 1, 2, 5, 4], dtype: ScalarType.Float32, generator: seed);
        if (IsLibtorchsOwn(x[0], x[1], x[2]))
            return;
        Tensor Second(Tensor input, bool composed)
        {
            var leaf = input.detach().requires_grad_();
            var query = leaf[0];
            var key = tie is "all one tensor" or "keys are queries" ? query : tie == "keys are made of queries" ? query.mul(2).sin() : leaf[1];
            var value = tie == "all one tensor" ? query : tie == "values are made of keys" ? key.square() : leaf[2];
            var y = composed
                ? query.div(2).matmul(key.transpose(-2, -1)).softmax(-1).matmul(value)
                : nn.functional.scaled_dot_product_attention(query, key, value);
            var first = autograd.grad([y.pow(3).sum()], [leaf], retain_graph: true, create_graph: true)[0];
            return cat([first.detach(), autograd.grad([first.square().sum()], [leaf])[0]]);
        }

        var expected = Second(x.to(ScalarType.Float64), composed: true);
        Second(x, composed: false).to(ScalarType.Float64).sub(expected).norm().item<double>()
            .Should().BeLessThan(1e-5 * expected.norm().item<double>());
    }

    [Fact]
    public void What_is_no_number_stays_none_whatever_its_bits()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(2);
        Tensor Draw(long rows) => randn([1, 1, rows, 8], dtype: ScalarType.Float32, generator: seed);
        var bad = NotNumbers.All();
        var rows = bad.shape[0];
        var (q, k, v) = (Draw(rows + 3), Draw(9), Draw(9));
        q[0, 0, .., 2].narrow(0, 0, rows).copy_(bad);
        if (IsLibtorchsOwn(q, k, v))
            return; // Its fused kernels make numbers of some of these.
        var y = nn.functional.scaled_dot_product_attention(q, k, v);
        y[0, 0].narrow(0, 0, rows).isnan().all().item<bool>().Should().BeTrue();
        y[0, 0].narrow(0, rows, 3).isfinite().all().item<bool>().Should().BeTrue();
    }

    [Theory]
    [InlineData("query", double.PositiveInfinity)]
    [InlineData("key", double.PositiveInfinity)]
    [InlineData("key", double.NaN)]
    [InlineData("value", double.PositiveInfinity)]
    [InlineData("value", double.NaN)]
    public void What_is_not_finite_shows_where_it_shows_in_float64(string where, double number)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(3);
        Tensor Draw(long rows) => randn([1, 2, rows, 8], dtype: ScalarType.Float32, generator: seed);
        Tensor[] given = [Draw(70), Draw(75), Draw(75)];
        given[where == "query" ? 0 : where == "key" ? 1 : 2][0, 1, 66, 3].fill_(number);
        Tensor[] Run(Tensor[] of, bool composed)
        {
            var x = of.Select(tensor => tensor.detach().requires_grad_()).ToArray();
            var y = composed
                ? x[0].mul(1 / Math.Sqrt(8)).matmul(x[1].transpose(-2, -1)).softmax(-1).matmul(x[2])
                : nn.functional.scaled_dot_product_attention(x[0], x[1], x[2]);
            return [y, .. autograd.grad([y], x, [ones_like(y)])];
        }

        var actual = Run(given, false);
        var expected = Run([.. given.Select(x => x.to(ScalarType.Float64))], true);
        for (var k = 0; k < 4; k++)
            Values.Of(actual[k].isfinite()).Should().Equal(Values.Of(expected[k].isfinite()), "of result {0}", k);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void An_input_that_was_changed_before_the_way_back_is_an_error(int which)
    {
        using var scope = NewDisposeScope();
        var leaf = ones([3, 1, 1, 4, 8], ScalarType.Float32).requires_grad_();
        var x = Enumerable.Range(0, 3).Select(k => leaf[k].mul(k + 1)).ToArray();
        var y = nn.functional.scaled_dot_product_attention(x[0], x[1], x[2]);
        x[which].add_(1);
        FluentActions.Invoking(() => y.sum().backward()).Should().Throw<ExternalException>().WithMessage("*inplace*");
    }

    [Fact]
    public void Gradients_go_only_to_what_wants_them_and_only_once()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(4);
        Tensor Draw() => randn([1, 2, 6, 8], dtype: ScalarType.Float32, generator: seed);
        var (q, k, v) = (Draw(), Draw(), Draw().requires_grad_());
        var y = nn.functional.scaled_dot_product_attention(q, k, v).square().sum();
        var first = autograd.grad([y], [v], retain_graph: true)[0];
        y.backward();
        v.grad!.ShouldHold(Values.Of(first));
        FluentActions.Invoking(() => y.backward()).Should().Throw<ExternalException>();
        (q.grad is null && k.grad is null).Should().BeTrue();
        using (no_grad())
            nn.functional.scaled_dot_product_attention(q, k, v).requires_grad.Should().BeFalse();
    }
    /// <summary>
    /// Whether a kernel of libtorch itself fuses attention: those have no second derivative. Asked by backward, not by grad, through which
    /// TorchSharp lets an error of libtorch end the process.
    /// </summary>
    private static bool IsLibtorchsOwn(Tensor query, Tensor key, Tensor value)
    {
        var leaf = query.detach().requires_grad_();
        var y = nn.functional.scaled_dot_product_attention(leaf, key, value).square().sum();
        var first = autograd.grad([y], [leaf], retain_graph: true, create_graph: true)[0];
        try
        {
            first.sum().backward();
            return false;
        }
        catch (ExternalException e) when (e.Message.Contains("is not implemented"))
        {
            return true;
        }
    }
}
