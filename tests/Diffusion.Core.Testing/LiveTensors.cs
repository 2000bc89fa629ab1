using TorchSharp;

namespace Diffusion.Core.Testing;

/// <summary>Counts tensors that were made and not freed while an action ran, with no help from finalisers.</summary>
public static class LiveTensors
{
    /// <summary>The difference in live tensors over the action.</summary>
    public static long Change(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);

        // What others left to finalisers goes first, so that it is not taken for freed by the action.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        action();
        return torch.Tensor.TotalCount - before;
    }
}
