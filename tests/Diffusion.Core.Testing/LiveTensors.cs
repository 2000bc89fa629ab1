using TorchSharp;
using TorchSharp.Modules;

namespace Diffusion.Core.Testing;

/// <summary>Counts tensors that were made and not freed while an action ran, with no help from finalizers.</summary>
public static class LiveTensors
{
    /// <summary>The difference in live tensors over the action.</summary>
    public static long Change(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);

        // What others left to finalizers goes first, so that it is not taken for freed by the action.
        var finalizedBefore = FinalizedTensors.Count();
        var before = torch.Tensor.TotalCount;
        action();
        var after = torch.Tensor.TotalCount;
        var finalized = FinalizedTensors.Count() - finalizedBefore;

        // Those that finalizers freed during the action, and not only now.
        return after - before + finalized - (after - torch.Tensor.TotalCount);
    }

    /// <summary>
    /// The tensors that TorchSharp goes on counting when a module has been disposed, though none is there: most parameters are counted twice
    /// when they are made.
    /// </summary>
    public static long Miscounted(torch.nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var parameter = Change(() => torch.nn.Parameter(torch.empty([1])).Dispose());

        // Those of an embedding may be made in native code.
        var embedding = Change(() => torch.nn.Embedding(1, 1).Dispose());
        var modules = module.named_modules().Select(pair => pair.module).Append(module).ToArray();
        return (embedding * modules.Count(part => part is Embedding))
            + (parameter * modules.Where(part => part is not Embedding).Sum(part => part.named_parameters(false).Count()));
    }
}
