using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Hooks that see and change what a module returns.</summary>
public class ForwardHookTests
{
    [Fact]
    public void Hooks_run_in_order_on_call_but_not_on_forward()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(1, 1);
        using (no_grad())
        {
            layer.weight.fill_(2);
            layer.bias!.fill_(0);
        }

        layer.register_forward_hook((_, input, output) => output.add_(input));
        layer.register_forward_hook((_, _, output) => output.mul(10));
        var x = ones([1, 1]);
        layer.call(x).ShouldHold(30);
        layer.forward(x).ShouldHold(2);
    }

    [Fact]
    public void A_hook_that_returns_nothing_changes_nothing_and_one_can_be_removed()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(2, 2);
        var calls = 0;
        var remover = layer.register_forward_hook((module, _, _) =>
        {
            module.Should().BeSameAs(layer);
            calls++;
            return null!;
        });
        var x = ones([1, 2]);
        var expected = layer.forward(x).data<float>().Select(value => (double)value).ToArray();
        layer.call(x).ShouldHold(expected);
        remover.remove();
        layer.call(x).ShouldHold(expected);
        calls.Should().Be(1);
    }
}
