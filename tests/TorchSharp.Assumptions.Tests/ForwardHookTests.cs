using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Hooks that see and change what a module returns.</summary>
public class ForwardHookTests
{
    [Fact]
    public void Hooks_run_in_order_on_call_and_not_on_forward()
    {
        using var scope = NewDisposeScope();
        using var layer = Double();
        layer.register_forward_hook((_, input, output) => output.add(input));
        layer.register_forward_hook((_, _, output) => output.mul(10));
        var x = ones([1, 1]);

        layer.call(x).ShouldHold(30);
        layer.forward(x).ShouldHold(2);
    }

    [Fact]
    public void A_hook_that_returns_null_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var layer = Double();
        var calls = 0;
        var hook = layer.register_forward_hook((_, _, _) =>
        {
            calls++;
            return null!;
        });
        var x = ones([1, 1]);

        layer.call(x).ShouldHold(2);
        hook.remove();
        layer.call(x).ShouldHold(2);

        calls.Should().Be(1);
    }

    private static Modules.Linear Double()
    {
        var layer = nn.Linear(1, 1, hasBias: false);
        using (no_grad())
            layer.weight.fill_(2);
        return layer;
    }
}
