using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Tensors of inference mode.</summary>
public class InferenceModeTests
{
    [Fact]
    public void A_graph_cannot_save_them_later()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        Tensor y;
        using (inference_mode())
            y = x.mul(2);

        y.mul(3).ShouldHold(6, 6);
        FluentActions.Invoking(() => x.mul(y)).Should().Throw<ExternalException>()
            .WithMessage("*Inference tensors cannot be saved for backward*");
        x.mul(y.clone()).requires_grad.Should().BeTrue("a clone outside of the mode is an ordinary tensor");
    }
}
