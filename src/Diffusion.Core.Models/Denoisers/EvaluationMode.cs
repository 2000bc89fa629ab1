using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Puts a module and everything in it in evaluation mode, and each part back in the mode it was in when the last scope over the module is
/// disposed. Scopes may overlap in any order, in one thread and in several.
/// </summary>
public sealed class EvaluationMode : IDisposable
{
    private static readonly ConditionalWeakTable<nn.Module, Modes> _open = [];
    private static readonly Lock _lock = new();

    private readonly nn.Module _module;
    private bool _disposed;

    /// <summary>Begins evaluation mode.</summary>
    /// <param name="module">Must outlive this scope.</param>
    public EvaluationMode(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        _module = module;
        lock (_lock)
        {
            var modes = _open.GetValue(module, _ => new Modes());
            if (modes.Scopes++ == 0)
                modes.Begin(module);
        }
    }

    /// <summary>True while a scope over the module is open.</summary>
    public static bool IsOpen(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        lock (_lock)
            return _open.TryGetValue(module, out var modes) && modes.Scopes > 0;
    }

    /// <summary>Ends evaluation mode, if no other scope over the module is open.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (_open.TryGetValue(_module, out var modes) && --modes.Scopes == 0)
                modes.End(_module);
        }
    }

    /// <summary>The modes that the parts of a module had before the first of its scopes.</summary>
    private sealed class Modes
    {
        private readonly List<nn.Module> _wereTraining = [];
        private bool _allTraining;

        public int Scopes { get; set; }

        public void Begin(nn.Module module)
        {
            _wereTraining.Clear();
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

        public void End(nn.Module module)
        {
            if (_allTraining)
            {
                module.train();
                return;
            }

            // train() reaches every descendant, so that those which were not training are put back to evaluation afterwards.
            var training = _wereTraining.ToHashSet();
            foreach (var part in module.modules().Prepend(module))
                part.train(training.Contains(part));
        }
    }
}

/// <summary>Keeps the parameters of a module from training until the last scope is disposed.</summary>
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
