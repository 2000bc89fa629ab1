using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Scopes without gradients.</summary>
public class GradModeTests
{
    [Fact]
    public void Nothing_is_recorded_without_gradients()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();

        is_grad_enabled().Should().BeTrue();
        using (no_grad())
        {
            is_grad_enabled().Should().BeFalse();
            x.mul(2).requires_grad.Should().BeFalse();
            ones([2], requires_grad: true).requires_grad.Should().BeTrue();
        }

        is_grad_enabled().Should().BeTrue();
        x.mul(2).requires_grad.Should().BeTrue();
    }

    [Fact]
    public void Scopes_nest_and_each_restores_what_was()
    {
        using (no_grad())
        {
            using (enable_grad())
            {
                is_grad_enabled().Should().BeTrue();
                using (no_grad())
                    is_grad_enabled().Should().BeFalse();
                is_grad_enabled().Should().BeTrue();
            }

            is_grad_enabled().Should().BeFalse();
            using (no_grad())
                is_grad_enabled().Should().BeFalse();
            is_grad_enabled().Should().BeFalse();
        }

        is_grad_enabled().Should().BeTrue();
    }

    [Fact]
    public void An_exception_restores_gradients()
    {
        var act = () =>
        {
            using var guard = no_grad();
            throw new InvalidDataException("on purpose");
        };

        act.Should().Throw<InvalidDataException>();
        is_grad_enabled().Should().BeTrue();
    }

    [Fact]
    public void The_mode_belongs_to_a_thread()
    {
        var elsewhere = false;
        using (no_grad())
            Values.OnAnotherThread(() => elsewhere = is_grad_enabled());
        elsewhere.Should().BeTrue();
    }

    [Fact]
    public void Inference_tensors_stay_out_of_graphs_for_ever()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        Tensor y;
        using (inference_mode())
        {
            is_grad_enabled().Should().BeFalse();
            y = x.mul(2);
        }

        is_grad_enabled().Should().BeTrue();
        y.requires_grad.Should().BeFalse();
        y.ShouldHold(2, 2);
        y.mul(3).ShouldHold(6, 6);
        ((Action)(() => x.mul(y))).Should().Throw<ExternalException>("a graph may not save it");
        x.mul(y.clone()).requires_grad.Should().BeTrue();
    }

    [Fact]
    public void Inference_scopes_nest_in_scopes_without_gradients()
    {
        using (no_grad())
        {
            using (inference_mode())
                is_grad_enabled().Should().BeFalse();
            is_grad_enabled().Should().BeFalse();
        }

        is_grad_enabled().Should().BeTrue();
    }
}
