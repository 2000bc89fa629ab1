using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>What an operator in place returns.</summary>
public class ZeroInPlaceTests
{
    [Fact]
    public void Zero_returns_a_new_object_of_the_same_memory()
    {
        using var x = ones([3]);

        using var result = x.zero_();

        result.Should().NotBeSameAs(x);
        x.ShouldHold(0, 0, 0);
        result.add_(1);
        x.ShouldHold(1, 1, 1);
    }

    [Fact]
    public void Other_operators_in_place_return_the_object_itself()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]);
        var y = full([2], 2.0);
        using var generator = new Generator(3);

        Values.LiveTensors(() =>
        {
            foreach (var apply in (Func<Tensor>[])
            [
                () => x.fill_(1.0), () => x.add_(y), () => x.sub_(y), () => x.mul_(y), () => x.div_(y), () => x.copy_(y),
                () => x.add_(y, alpha: 0.5), () => x.addcmul_(y, y, 0.5), () => x.addcdiv_(y, y, 0.5), () => x.lerp_(y, y),
                () => x.clamp_(0, 1), () => x.sqrt_(), () => x.sign_(), () => x.reciprocal_(), () => x.normal_(0, 1, generator),
                () => x.uniform_(0, 1, generator),
            ])
            {
                apply().Should().BeSameAs(x);
            }
        }).Should().Be(0);
    }
}
