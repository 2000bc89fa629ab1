using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Where a tensor goes that is moved out of its scope.</summary>
public class DisposeScopeTests
{
    [Fact]
    public void Moving_out_starts_from_the_scope_that_owns_a_tensor_not_from_the_current_one()
    {
        Tensor argument;
        using (NewDisposeScope())
        {
            using (var caller = NewDisposeScope())
            {
                argument = zeros([2]);
                using (NewDisposeScope())
                    argument.MoveToOuterDisposeScope();
                caller.Contains(argument).Should().BeFalse("a method that moves out its argument takes it from its caller");
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
}
