using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

public class GraphTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gradients_of_gradients_need_a_graph_that_is_retained(bool retains)
    {
        using var scope = NewDisposeScope();
        var x = ones(3).requires_grad_();
        var gradient = autograd.grad([x.exp().sum()], [x], retain_graph: retains, create_graph: true)[0];

        var again = FluentActions.Invoking(() => gradient.sum().backward());

        if (retains)
            again.Should().NotThrow();
        else
            again.Should().Throw<ExternalException>().WithMessage("*a second time*");
    }
}
