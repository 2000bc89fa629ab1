using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Scaled dot product attention against softmax(q k^T / sqrt(d)) v.</summary>
public class AttentionTests
{
    private static (Tensor Query, Tensor Key, Tensor Value) Draw(ScalarType type = ScalarType.Float64, long keys = 5)
    {
        using var generator = new Generator(7);
        return (randn([2, 3, 4, 8], dtype: type, generator: generator), randn([2, 3, keys, 8], dtype: type, generator: generator),
            randn([2, 3, keys, 6], dtype: type, generator: generator));
    }

    private static Tensor Composed(Tensor query, Tensor key, Tensor value, Tensor? added = null)
    {
        var scores = query.matmul(key.transpose(-1, -2)).mul(1 / Math.Sqrt(query.shape[^1]));
        return (added is null ? scores : scores.add(added)).softmax(-1).matmul(value);
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1e-13)]
    [InlineData(ScalarType.Float32, 2e-6)]
    public void Without_a_mask(ScalarType type, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(type);
        var y = nn.functional.scaled_dot_product_attention(q, k, v);
        y.ShouldHaveShape(2, 3, 4, 6);
        y.dtype.Should().Be(type);
        y.ShouldBeNear(tolerance, Values.Of(Composed(q, k, v)));
    }

    [Fact]
    public void A_mask_of_numbers_is_added_to_the_scores()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw();
        using var generator = new Generator(8);
        var mask = randn([4, 5], dtype: ScalarType.Float64, generator: generator);
        nn.functional.scaled_dot_product_attention(q, k, v, mask).ShouldBeNear(1e-13, Values.Of(Composed(q, k, v, mask)));
    }

    [Fact]
    public void A_mask_of_booleans_marks_the_keys_that_are_seen()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw();
        var seen = Values.Make(ScalarType.Bool, [1, 1, 1, 5], 1, 1, 0, 1, 0);
        var chosen = Values.Long([3], 0, 1, 3);
        nn.functional.scaled_dot_product_attention(q, k, v, seen)
            .ShouldBeNear(1e-13, Values.Of(Composed(q, k.index_select(2, chosen), v.index_select(2, chosen))));
    }

    [Theory]
    [InlineData(ScalarType.Float32, false)]
    [InlineData(ScalarType.Float32, true)]
    [InlineData(ScalarType.BFloat16, false)]
    [InlineData(ScalarType.BFloat16, true)]
    public void A_query_that_may_see_nothing_gets_zeros_and_gives_no_gradient(ScalarType type, bool wantsGradients)
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(type);
        v.requires_grad_(wantsGradients);
        q.requires_grad_(wantsGradients);
        var seen = cat([zeros([1, 1, 4, 5], ScalarType.Bool), ones([1, 1, 4, 5], ScalarType.Bool)], 0);

        var y = nn.functional.scaled_dot_product_attention(q, k, v, seen);

        y[0].ShouldBeNear(0, new double[72]);
        y[1].abs().sum().to(ScalarType.Float64).item<double>().Should().BeGreaterThan(1);
        if (!wantsGradients)
            return;
        y.to(ScalarType.Float32).square().sum().backward();
        q.grad![0].ShouldBeNear(0, new double[96]);
        v.grad![0].ShouldBeNear(0, new double[90]);
        q.grad![1].isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Causal_attention_sees_no_later_key()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(keys: 4);
        var y = nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true);
        for (var i = 0; i < 4; i++)
        {
            var row = Composed(q.narrow(2, i, 1), k.narrow(2, 0, i + 1), v.narrow(2, 0, i + 1));
            y.narrow(2, i, 1).ShouldBeNear(1e-13, Values.Of(row));
        }
    }

    [Fact]
    public void Gradients_are_those_of_the_composition()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw();
        var inputs = new[] { q.requires_grad_(), k.requires_grad_(), v.requires_grad_() };
        var twins = inputs.Select(x => x.detach().clone().requires_grad_()).ToArray();

        nn.functional.scaled_dot_product_attention(q, k, v).square().sum().backward();
        Composed(twins[0], twins[1], twins[2]).square().sum().backward();

        foreach (var (x, twin) in inputs.Zip(twins))
            x.grad!.ShouldBeNear(1e-12, Values.Of(twin.grad!));
    }

    [Fact]
    public void A_causal_call_with_a_mask_is_refused()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw();
        var mask = zeros([4, 5], ScalarType.Float64);
        ((Action)(() => nn.functional.scaled_dot_product_attention(q, k, v, mask, is_casual: true))).Should().Throw<ArgumentException>();
        ((Action)(() => nn.functional.scaled_dot_product_attention(q, k, v, p: -0.1))).Should().Throw<ArgumentException>();
    }
}
