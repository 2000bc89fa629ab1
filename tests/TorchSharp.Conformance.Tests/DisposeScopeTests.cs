using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>What frees a tensor, and when.</summary>
public class DisposeScopeTests
{
    [Fact]
    public void A_scope_frees_what_was_made_in_it()
    {
        var outside = zeros([2]);
        Tensor inside;
        using (NewDisposeScope())
            inside = zeros([2]);

        inside.IsInvalid.Should().BeTrue();
        outside.IsInvalid.Should().BeFalse();
        outside.Dispose();
    }

    [Fact]
    public void Moving_out_hands_a_tensor_to_the_scope_around()
    {
        Tensor moved;
        using (NewDisposeScope())
        {
            using (NewDisposeScope())
            {
                moved = zeros([2]);
                moved.MoveToOuterDisposeScope().Should().BeSameAs(moved);
            }

            moved.IsInvalid.Should().BeFalse();
        }

        moved.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void Moving_out_of_the_outermost_scope_leaves_a_tensor_to_the_caller()
    {
        Tensor moved;
        using (NewDisposeScope())
            moved = zeros([2]).MoveToOuterDisposeScope();

        moved.IsInvalid.Should().BeFalse();
        moved.Dispose();
        moved.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void Moving_out_starts_from_the_scope_that_owns_a_tensor_not_from_the_current_one()
    {
        // So a method that moves out what it was given takes it away from its caller.
        Tensor argument;
        using (NewDisposeScope())
        {
            using (var caller = NewDisposeScope())
            {
                argument = zeros([2]);
                using (NewDisposeScope())
                    argument.MoveToOuterDisposeScope();
                caller.Contains(argument).Should().BeFalse();
            }

            argument.IsInvalid.Should().BeFalse();
        }

        argument.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void Moving_out_twice_goes_up_twice()
    {
        Tensor moved;
        using (NewDisposeScope())
        {
            using (NewDisposeScope())
                moved = zeros([2]).MoveToOuterDisposeScope().MoveToOuterDisposeScope();
        }

        moved.IsInvalid.Should().BeFalse();
        moved.Dispose();
    }

    [Fact]
    public void Moving_out_where_there_is_no_scope_changes_nothing()
    {
        using var tensor = zeros([2]);

        tensor.MoveToOuterDisposeScope().Should().BeSameAs(tensor);
        tensor.DetachFromDisposeScope().Should().BeSameAs(tensor);

        tensor.IsInvalid.Should().BeFalse();
    }

    [Fact]
    public void Detaching_takes_a_tensor_out_of_every_scope()
    {
        Tensor detached;
        using (NewDisposeScope())
        {
            using (NewDisposeScope())
                detached = zeros([2]).DetachFromDisposeScope();
        }

        detached.IsInvalid.Should().BeFalse();
        detached.Dispose();
    }

    [Fact]
    public void A_tensor_belongs_to_the_scope_it_was_made_in_wherever_its_data_came_from()
    {
        using var source = zeros([2, 3]);
        Tensor view;
        using (NewDisposeScope())
            view = source.view(6);

        view.IsInvalid.Should().BeTrue();
        source.ShouldHold(0, 0, 0, 0, 0, 0);
    }

    [Fact]
    public void A_scope_counts_what_it_holds()
    {
        using var scope = NewDisposeScope();
        var first = zeros([2]);
        _ = zeros([2]);

        scope.DisposablesCount.Should().Be(2);
        scope.Contains(first).Should().BeTrue();

        first.Dispose();

        scope.DisposablesCount.Should().Be(1);
        scope.Contains(first).Should().BeFalse();
    }

    [Fact]
    public void A_tensor_can_be_attached_to_a_scope()
    {
        var tensor = zeros([2]);
        using (var scope = NewDisposeScope())
            scope.Attach(tensor);

        tensor.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void An_inner_scope_ends_without_touching_the_outer_one()
    {
        using var outer = NewDisposeScope();
        var kept = zeros([2]);
        using (NewDisposeScope())
            _ = kept.add(1);

        kept.IsInvalid.Should().BeFalse();
        outer.DisposablesCount.Should().Be(1);
        var later = zeros([2]);
        outer.Contains(later).Should().BeTrue();
    }

    [Fact]
    public void Disposing_a_scope_or_a_tensor_twice_is_harmless()
    {
        var scope = NewDisposeScope();
        var tensor = zeros([2]);
        tensor.Dispose();
        tensor.Dispose();
        scope.Dispose();
        scope.Dispose();
        tensor.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void An_exception_passes_through_a_scope_that_still_frees()
    {
        Tensor? lost = null;
        var act = () =>
        {
            using var scope = NewDisposeScope();
            lost = zeros([2]);
            throw new InvalidDataException("on purpose");
        };

        act.Should().Throw<InvalidDataException>();
        lost!.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void Scopes_belong_to_a_thread()
    {
        Tensor? elsewhere = null;
        using (NewDisposeScope())
            Values.OnAnotherThread(() => elsewhere = zeros([2]));

        elsewhere!.IsInvalid.Should().BeFalse();
        elsewhere.Dispose();
    }

    [Fact]
    public void A_disposed_tensor_refuses_to_be_used()
    {
        var gone = zeros([2, 3]);
        using var other = zeros([2, 3]);
        gone.Dispose();

        ((Action)(() => gone.sum())).Should().Throw<InvalidOperationException>();
        ((Action)(() => other.add(gone))).Should().Throw<InvalidOperationException>();
        ((Action)(() => other.copy_(gone))).Should().Throw<InvalidOperationException>();
        ((Action)(() => _ = gone.shape)).Should().Throw<InvalidOperationException>();
        ((Action)(() => _ = gone.dtype)).Should().Throw<InvalidOperationException>();
        ((Action)(() => gone.data<float>())).Should().Throw<InvalidOperationException>();
    }
}
