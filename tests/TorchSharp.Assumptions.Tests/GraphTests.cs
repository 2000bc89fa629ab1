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

    [Fact]
    public void A_backward_pass_to_inputs_leaves_parameters_alone_and_throws_its_errors()
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(3).requires_grad_(), ones(3).requires_grad_());

        autograd.backward([x.mul(weight).sum()], inputs: [x]);

        x.grad!.ShouldHold(1, 1, 1);
        weight.grad.Should().BeNull();
        FluentActions.Invoking(() => autograd.backward([ones(3).sum()], inputs: [x])).Should().Throw<ExternalException>();
    }

    [Fact]
    public void A_backward_pass_to_an_input_that_was_not_used_leaves_no_gradient()
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(3).requires_grad_(), ones(3).requires_grad_());

        autograd.backward([x.detach().mul(weight).sum()], inputs: [x]);

        x.grad.Should().BeNull();
    }
}
