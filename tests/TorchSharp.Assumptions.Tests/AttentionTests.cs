using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Scaled dot product attention on the CPU, with gradients and without.</summary>
public class AttentionTests
{
    [Theory]
    [InlineData(1, 16, 8, ScalarType.Float32, false, false)]
    [InlineData(4, 64, 16, ScalarType.Float32, true, false)]
    [InlineData(2, 256, 64, ScalarType.Float32, false, true)]
    [InlineData(4, 77, 40, ScalarType.Float32, true, true)]
    [InlineData(4, 64, 16, ScalarType.BFloat16, false, false)]
    [InlineData(4, 77, 16, ScalarType.BFloat16, true, true)]
    public void Recording_gradients_does_not_change_the_result(
        long heads, long pixels, long width, ScalarType type, bool isMasked, bool isTransposed)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        Tensor Draw() => isTransposed
            ? randn([2, heads, width, pixels], generator: generator).to(type).transpose(2, 3)
            : randn([2, heads, pixels, width], generator: generator).to(type);
        var (q, k, v) = (Draw(), Draw(), Draw());
        var mask = isMasked ? rand([2, 1, 1, pixels], generator: generator).gt(0.3) : null;

        var without = nn.functional.scaled_dot_product_attention(q, k, v, mask);
        var with = nn.functional.scaled_dot_product_attention(q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), mask);

        with.requires_grad.Should().BeTrue();
        Values.Of(with).Should().Equal(Values.Of(without));
    }
}
