using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Attention for every width of a head, against Vaswani et al. 2017, eq. 1, written out in float64.</summary>
public class AttentionWidthTests
{
    public static TheoryData<int, string> Cases => new(
        from width in new[] { 1, 4, 7, 8, 12, 15, 16, 17, 64 }
        from mask in new[] { "none", "keys", "added" }
        select (width, mask));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_head_width_gives_softmax_attention_and_its_gradients(int width, string kind)
    {
        const int heads = 3, queries = 10, keys = 7;
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);
        var options = new MultiHeadAttentionOptions { Width = 20, ContextWidth = 12, Heads = heads, HeadWidth = width };
        var (tokens, context, upstream) = (Draw(2, queries, 20), Draw(2, keys, 12), Draw(2, queries, 20));
        var mask = kind switch
        {
            "keys" => Draw(2, 1, 1, keys).lt(0.5),
            "added" => Draw(2, heads, queries, keys),
            _ => null,
        };
        using var attention = new MultiHeadAttention(options);
        using (no_grad())
        {
            foreach (var parameter in attention.parameters())
                parameter.normal_(std: 0.5, generator: generator);
        }

        var single = Run(inputs => attention.call(inputs[0], inputs[1], Single(mask)), [Single(tokens)!, Single(context)!], Single(upstream)!);
        attention.to(ScalarType.Float64);
        var exact = Run(inputs => Exact(attention, inputs[0], inputs[1], mask, heads), [tokens, context], upstream);

        for (var k = 0; k < exact.Length; k++)
            single[k].to(ScalarType.Float64).sub(exact[k]).abs().max().item<double>()
                .Should().BeLessThan(2e-6 * exact[k].abs().max().item<double>());
    }

    [Fact]
    public void Narrow_heads_leave_no_tensors_behind()
    {
        using var attention = new MultiHeadAttention(new MultiHeadAttentionOptions { Width = 16, Heads = 2, HeadWidth = 8 });
        using var tokens = randn(1, 4, 16);
        using (attention.call(tokens, null, null))
        {
        }

        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (attention.call(tokens, null, null))
        {
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.Should().Be(before);
    }

    private static Tensor? Single(Tensor? x) => x is null || x.dtype == ScalarType.Bool ? x : x.to(ScalarType.Float32);

    private static Tensor[] Run(Func<Tensor[], Tensor> attend, Tensor[] inputs, Tensor upstream)
    {
        var leaves = inputs.Select(input => input.detach().requires_grad_()).ToArray();
        var output = attend(leaves);
        output.backward([upstream]);
        return [output.detach(), .. leaves.Select(leaf => leaf.grad!)];
    }

    private static Tensor Exact(MultiHeadAttention attention, Tensor tokens, Tensor context, Tensor? mask, int heads)
    {
        var weights = attention.state_dict();
        Tensor Heads(Tensor x, string name)
        {
            var projected = x.matmul(weights[$"{name}.weight"].t());
            if (weights.TryGetValue($"{name}.bias", out var bias))
                projected = projected.add(bias);
            return projected.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);
        }

        var (query, key, value) = (Heads(tokens, "to_q"), Heads(context, "to_k"), Heads(context, "to_v"));
        var logits = query.matmul(key.transpose(2, 3)).div(Math.Sqrt(query.shape[3]));
        if (mask is not null)
            logits = mask.dtype == ScalarType.Bool ? logits.masked_fill(mask.logical_not(), double.NegativeInfinity) : logits.add(mask);
        var attended = logits.softmax(-1).matmul(value).transpose(1, 2).flatten(2);
        var output = attended.matmul(weights["to_out.0.weight"].t());
        return weights.TryGetValue("to_out.0.bias", out var shift) ? output.add(shift) : output;
    }
}
