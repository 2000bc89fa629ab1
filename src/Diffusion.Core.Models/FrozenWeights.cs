using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Keeps the parameters of a module from training until the last who asked for it lets go.</summary>
internal sealed class FrozenWeights
{
    private static readonly ConditionalWeakTable<nn.Module, FrozenWeights> Known = [];

    private readonly HashSet<string> _frozen = new(StringComparer.Ordinal);
    private int _holders;

    /// <summary>Freezes a module.</summary>
    public static void Hold(nn.Module module)
    {
        var frozen = Known.GetOrCreateValue(module);
        frozen._holders++;
        foreach (var (name, parameter) in module.named_parameters())
        {
            if (!parameter.requires_grad)
                continue;
            parameter.requires_grad = false;
            frozen._frozen.Add(name);
        }
    }

    /// <summary>Lets go; the last one unfreezes what the first one froze.</summary>
    public static void Release(nn.Module module)
    {
        if (!Known.TryGetValue(module, out var frozen) || --frozen._holders > 0)
            return;
        Known.Remove(module);
        foreach (var (name, parameter) in module.named_parameters())
        {
            if (!parameter.IsInvalid && frozen._frozen.Contains(name))
                parameter.requires_grad = true;
        }
    }
}
