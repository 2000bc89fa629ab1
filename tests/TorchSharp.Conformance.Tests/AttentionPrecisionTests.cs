using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>
/// Attention of float32 and bfloat16 against softmax(q k^T / sqrt(d) + mask) v in float64, values and gradients, over sizes that no tile
/// divides. Looks at the memory of the process and at its threads, and therefore runs alone.
/// </summary>
[CollectionDefinition(nameof(AttentionPrecisionTests), DisableParallelization = true)]
[Collection(nameof(AttentionPrecisionTests))]
public class AttentionPrecisionTests
{
    private const double Tolerance = 2e-6;

    /// <summary>Samples, heads, queries, keys, width of keys and of values.</summary>
    public static TheoryData<long[]> Sizes => new((long[][])[
        [1, 1, 1, 1, 1, 1], [2, 3, 5, 7, 8, 8], [1, 2, 64, 64, 8, 8], [2, 1, 65, 130, 40, 40], [1, 2, 100, 63, 64, 64],
        [1, 1, 70, 71, 80, 80], [1, 1, 33, 77, 128, 128], [1, 1, 16, 20, 160, 160], [3, 2, 257, 90, 8, 6], [1, 1, 300, 700, 16, 24],
        [20, 1, 17, 19, 3, 5], [1, 2, 9, 64, 512, 512]]);

    public static TheoryData<string> Masks => ["seen keys", "seen pairs of each head", "added", "added for each head", "causal"];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Of_any_size(long[] size) => Check(Draw(size), null, false, Tolerance);

    [Theory]
    [MemberData(nameof(Masks))]
    public void With_a_mask(string kind)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(2);
        foreach (var (queries, keys) in new[] { (70L, 90L), (90L, 70L) })
        {
            long[] shape = kind switch
            {
                "seen keys" => [2, 1, 1, keys],
                "seen pairs of each head" => [1, 3, queries, keys],
                "added" => [queries, keys],
                _ => [2, 3, queries, keys],
            };
            var mask = randn(shape, dtype: ScalarType.Float32, generator: seed);
            var seen = mask.gt(-0.5);
            Check(
                Draw(2, 3, queries, keys, 8, 8), kind.StartsWith("seen", StringComparison.Ordinal) ? seen : kind == "causal" ? null : mask,
                kind == "causal", Tolerance);
        }
    }

    [Fact]
    public void A_query_that_may_see_nothing_in_any_tile_gives_zeros_and_gradients_of_zero()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(1, 1, 70, 140, 8, 8);
        var seen = ones([70, 140], ScalarType.Bool);
        seen[3].fill_(0);
        seen[69].fill_(0);

        // One that sees nothing in the first tiles, and one key in the last.
        seen[5].fill_(0);
        seen[5, 139].fill_(1);
        var y = nn.functional.scaled_dot_product_attention(q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), seen);
        y.square().sum().backward();

        foreach (var row in new[] { 3, 69 })
        {
            y[0, 0, row].ShouldBeNear(0, new double[8]);
            q.grad![0, 0, row].ShouldBeNear(0, new double[8]);
        }

        y[0, 0, 5].ShouldHold(Values.Of(v[0, 0, 139]));
        k.grad!.isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void With_logits_of_ten_thousand()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(1, 2, 40, 80, 8, 8);

        // Logits of this size have a rounding of 1e-3, which weights then have too.
        var huge = q.mul(1e4);
        var y = nn.functional.scaled_dot_product_attention(huge, k, v).to(ScalarType.Float64);
        Tensor[] wide = [huge.to(ScalarType.Float64), k.to(ScalarType.Float64), v.to(ScalarType.Float64)];
        y.ShouldBeNear(5e-3, Values.Of(Composed(wide, null, false)));
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(1)]
    [InlineData(30)]
    [InlineData(80)]
    public void The_exponential_is_exact_to_a_few_units_in_the_last_place(double reach)
    {
        using var scope = NewDisposeScope();
        var logits = linspace(-reach, 0, 4001, ScalarType.Float32).view(1, 1, -1, 1);
        var keys = Values.Float([1, 1, 2, 1], 1, 0);
        var values = Values.Float([1, 1, 2, 1], 1, 0);
        var weights = Values.Of(nn.functional.scaled_dot_product_attention(logits, keys, values));
        var arguments = Values.Of(logits);
        for (var k = 0; k < weights.Length; k++)
        {
            var exact = 1 / (1 + Math.Exp(-arguments[k]));
            weights[k].Should().BeApproximately(exact, exact * (4e-7 + (1.2e-7 * reach)));
        }
    }

    [Fact]
    public void Of_views_with_any_strides()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(3);
        Tensor Make(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var tokens = Make(2, 66, 3 * 24);
        Tensor Heads(int part) => tokens.narrow(2, 24 * part, 24).view(2, 66, 3, 8).transpose(1, 2);
        Check((Heads(0), Heads(1), Heads(2)), null, false, Tolerance);
        Check((Make(2, 3, 8, 66).transpose(2, 3), Make(1, 1, 70, 8).expand(2, 3, 70, 8), Make(2, 1, 70, 1).expand(2, 3, 70, 8)), null, false, Tolerance);
    }

    [Fact]
    public void In_bfloat16()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(2, 3, 65, 70, 8, 8);
        Check((q.to(ScalarType.BFloat16), k.to(ScalarType.BFloat16), v.to(ScalarType.BFloat16)), null, false, 2e-2);
    }

    [Fact]
    public void Of_no_samples_is_empty()
    {
        using var scope = NewDisposeScope();
        var empty = zeros([0, 2, 3, 4], ScalarType.Float32);
        nn.functional.scaled_dot_product_attention(empty, empty, empty).ShouldHaveShape(0, 2, 3, 4);
    }

    [Fact]
    public void What_is_no_number_is_not_hidden()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(1, 1, 70, 80, 8, 8);
        q[0, 0, 66, 2].fill_(double.NaN);
        var y = nn.functional.scaled_dot_product_attention(q, k, v);
        y[0, 0, 66].isnan().all().item<bool>().Should().BeTrue();
        y[0, 0].narrow(0, 0, 66).isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Is_the_same_bit_for_bit_in_every_run_and_with_any_number_of_threads()
    {
        using var scope = NewDisposeScope();
        var threads = get_num_threads();
        try
        {
            foreach (var size in new[] { new long[] { 4, 8, 100, 100, 8, 8 }, [1, 1, 300, 600, 16, 16] })
            {
                var runs = new[] { 1, 2, 2 }.Select(count =>
                {
                    set_num_threads(count);
                    return Run(Draw(size), null, false).SelectMany(Values.Of).ToArray();
                }).ToArray();
                runs[1].Should().Equal(runs[0]);
                runs[2].Should().Equal(runs[0]);
            }
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void Weights_are_not_kept_for_the_way_back()
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = Draw(1, 1, 4096, 4096, 8, 8);
        q.requires_grad_();
        var before = MappedMemory.BytesInUse();
        var y = nn.functional.scaled_dot_product_attention(q, k, v);
        (MappedMemory.BytesInUse() - before).Should().BeLessThan(4096 * 4096);
        y.sum().backward();
        q.grad!.ShouldHaveShape(1, 1, 4096, 8);
    }

    private static (Tensor Query, Tensor Key, Tensor Value) Draw(params long[] size)
    {
        using var seed = new Generator(1);
        Tensor Make(long rows, long width) => randn([size[0], size[1], rows, width], dtype: ScalarType.Float32, generator: seed);
        return (Make(size[2], size[4]), Make(size[3], size[4]), Make(size[3], size[5]));
    }

    /// <summary>The answer, and the gradients of what it makes with fixed numbers.</summary>
    private static Tensor[] Run((Tensor Query, Tensor Key, Tensor Value) given, Tensor? mask, bool causal, bool composed = false)
    {
        var inputs = new[] { given.Query, given.Key, given.Value }.Select(x => x.detach().requires_grad_()).ToArray();
        var y = composed
            ? Composed(inputs, mask, causal)
            : nn.functional.scaled_dot_product_attention(inputs[0], inputs[1], inputs[2], mask, is_casual: causal);
        using var seed = new Generator(9);
        var upstream = randn(y.shape, dtype: ScalarType.Float32, generator: seed).to(y.dtype);
        return [y, .. autograd.grad([y], inputs, [upstream])];
    }

    private static Tensor Composed(Tensor[] x, Tensor? mask, bool causal)
    {
        var logits = x[0].matmul(x[1].transpose(-2, -1)).div(Math.Sqrt(x[0].shape[^1]));
        if (causal)
            mask = arange(x[1].shape[2]).unsqueeze(0).le(arange(x[0].shape[2]).unsqueeze(1));
        if (mask?.dtype == ScalarType.Bool)
            logits = logits.masked_fill(mask.logical_not(), double.NegativeInfinity);
        else if (mask is not null)
            logits = logits.add(mask.to(ScalarType.Float64));
        return logits.softmax(-1).matmul(x[2]);
    }

    private static void Check((Tensor Query, Tensor Key, Tensor Value) given, Tensor? mask, bool causal, double tolerance)
    {
        using var scope = NewDisposeScope();
        Tensor Wide(Tensor x) => x.to(ScalarType.Float64);
        var actual = Run(given, mask, causal);
        var expected = Run((Wide(given.Query), Wide(given.Key), Wide(given.Value)), mask, causal, composed: true);
        for (var k = 0; k < actual.Length; k++)
        {
            actual[k].dtype.Should().Be(given.Query.dtype);
            actual[k].ShouldHaveShape(expected[k].shape);
            var error = Wide(actual[k]).sub(expected[k]).norm().item<double>();
            error.Should().BeLessThanOrEqualTo(tolerance * (expected[k].norm().item<double>() + 1e-3), "of result {0}", k);
        }
    }
}
