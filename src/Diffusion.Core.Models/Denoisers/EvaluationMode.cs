using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Puts a module and everything in it in evaluation mode, and each part back in the mode it was in on disposal. Scopes nest; dispose
/// them in the reverse of their order.
/// </summary>
public sealed class EvaluationMode : IDisposable
{
    private readonly List<nn.Module> _wereTraining = [];
    private readonly nn.Module _module;
    private readonly bool _allTraining;
    private bool _disposed;

    /// <summary>Begins evaluation mode.</summary>
    /// <param name="module">Must outlive this scope.</param>
    public EvaluationMode(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        _module = module;
        _allTraining = module.training;
        foreach (var part in module.modules().Prepend(module))
        {
            if (part.training)
                _wereTraining.Add(part);
            else
                _allTraining = false;
        }

        module.eval();
    }

    /// <summary>Ends evaluation mode.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        if (_allTraining)
        {
            _module.train();
            return;
        }

        // train() reaches every descendant, so that those which were not training are put back to evaluation afterwards.
        var training = _wereTraining.ToHashSet();
        foreach (var part in _module.modules().Prepend(_module))
            part.train(training.Contains(part));
    }
}

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
