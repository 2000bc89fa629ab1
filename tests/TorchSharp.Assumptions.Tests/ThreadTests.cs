using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>What does not reach another thread.</summary>
public class ThreadTests
{
    [Fact]
    public void A_dispose_scope_does_not_own_what_another_thread_creates()
    {
        Tensor? elsewhere = null;
        using (NewDisposeScope())
            Values.OnAnotherThread(() => elsewhere = zeros([2]));

        elsewhere!.IsInvalid.Should().BeFalse();
        elsewhere.Dispose();
    }

    [Fact]
    public void Another_thread_records_gradients_in_spite_of_no_grad()
    {
        var elsewhere = false;
        using (no_grad())
            Values.OnAnotherThread(() => elsewhere = is_grad_enabled());

        elsewhere.Should().BeTrue();
    }
}
