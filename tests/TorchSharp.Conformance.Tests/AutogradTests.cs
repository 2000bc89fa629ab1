using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Gradients and where they stop.</summary>
public class AutogradTests
{
    [Fact]
    public void Backward_of_a_scalar_reaches_the_leaves()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([3], 1, 2, 3).requires_grad_();
        var w = Values.Double([3], 4, 5, 6).requires_grad_();

        x.mul(w).sum().backward();

        x.grad!.ShouldHold(4, 5, 6);
        w.grad!.ShouldHold(1, 2, 3);
    }

    [Fact]
    public void Gradients_add_up_over_calls()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        for (var k = 1; k <= 3; k++)
        {
            x.mul(2).sum().backward();
            x.grad!.ShouldHold(2 * k, 2 * k);
        }
    }

    [Fact]
    public void Broadcasting_sums_the_gradient()
    {
        using var scope = NewDisposeScope();
        var x = ones([3]).requires_grad_();
        x.add(zeros([4, 3])).sum().backward();
        x.grad!.ShouldHold(4, 4, 4);
    }

    [Fact]
    public void A_result_needs_gradients_when_an_input_does_and_is_no_leaf()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        var y = x.mul(2);

        x.is_leaf.Should().BeTrue();
        y.requires_grad.Should().BeTrue();
        y.is_leaf.Should().BeFalse();
        y.grad.Should().BeNull();
        ones([2]).mul(2).requires_grad.Should().BeFalse();
        ones([2]).mul(2).is_leaf.Should().BeTrue();
    }

    [Fact]
    public void Requires_grad_returns_the_same_object()
    {
        using var x = ones([2]);
        x.requires_grad_().Should().BeSameAs(x);
        x.requires_grad.Should().BeTrue();
        x.requires_grad_(false).Should().BeSameAs(x);
        x.requires_grad.Should().BeFalse();
        x.requires_grad = true;
        x.requires_grad.Should().BeTrue();
    }

    [Fact]
    public void A_detached_tensor_shares_memory_and_stops_gradients()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2], 2, 3).requires_grad_();
        var y = x.mul(2);
        var cut = y.detach();

        cut.requires_grad.Should().BeFalse();
        cut.is_leaf.Should().BeTrue();
        x.mul(cut).sum().backward();
        x.grad!.ShouldHold(4, 6);
        cut.fill_(9);
        y.ShouldHold(9, 9);
    }

    [Fact]
    public void Backward_twice_through_one_graph_is_refused()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        var loss = x.mul(x).sum();
        loss.backward();
        ((Action)(() => loss.backward())).Should().Throw<ExternalException>();
    }

    [Fact]
    public void Backward_of_a_vector_or_without_a_graph_is_refused()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        ((Action)(() => x.mul(2).backward())).Should().Throw<ExternalException>();
        ((Action)(() => ones([1]).sum().backward())).Should().Throw<ExternalException>();
    }

    [Fact]
    public void A_leaf_that_needs_gradients_refuses_to_change_in_place()
    {
        using var x = ones([2], requires_grad: true);

        ((Action)(() => x.add_(1))).Should().Throw<ExternalException>();
        ((Action)(() => x.copy_(x.detach()))).Should().Throw<ExternalException>();
        x.ShouldHold(1, 1);
        using (no_grad())
            x.add_(1);
        x.ShouldHold(2, 2);
        x.requires_grad.Should().BeTrue();
    }

    [Fact]
    public void What_backward_needs_may_not_change_in_between()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        var y = x.mul(2);
        var loss = y.mul(y).sum();
        y.add_(1);
        ((Action)(() => loss.backward())).Should().Throw<ExternalException>();
    }

    [Fact]
    public void Gradients_pass_through_views_and_joins()
    {
        using var scope = NewDisposeScope();
        var x = ones([2, 3]).requires_grad_();
        var weights = arange(0, 12, ScalarType.Float32).view(4, 3);

        cat([x.transpose(0, 1).contiguous().view(2, 3), x.narrow(1, 0, 3)]).mul(weights).sum().backward();

        // Element k of the transposed copy is x[k % 2, k / 2]; rows two and three add 6..11.
        x.grad!.ShouldHold(0 + 6, 2 + 7, 4 + 8, 1 + 9, 3 + 10, 5 + 11);
    }

    [Fact]
    public void The_gradient_of_an_indexed_sum_counts_repeats()
    {
        using var scope = NewDisposeScope();
        var table = ones([3, 2]).requires_grad_();
        table.index_select(0, Values.Long([4], 0, 2, 2, 2)).sum().backward();
        table.grad!.ShouldHold(1, 1, 0, 0, 3, 3);
    }

    [Fact]
    public void The_gradient_of_a_clamp_is_zero_outside()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([3], -2, 0.5, 2).requires_grad_();
        x.clamp(-1, 1).sum().backward();
        x.grad!.ShouldHold(0, 1, 0);
    }

    [Fact]
    public void Gradients_with_respect_to_inputs_leave_the_grad_fields_alone()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2], 1, 2).requires_grad_();
        var w = Values.Double([2], 3, 4).requires_grad_();

        var found = autograd.grad([x.mul(w).sum()], [x]);

        found.Should().HaveCount(1);
        found[0].ShouldHold(3, 4);
        x.grad.Should().BeNull();
        w.grad.Should().BeNull();
    }
}
