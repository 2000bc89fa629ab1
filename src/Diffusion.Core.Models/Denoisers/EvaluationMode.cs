using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Sets a module and its submodules to evaluation mode. When the last scope of the module is disposed, each submodule is set back to its
/// previous mode. Scopes may overlap in any order, on one thread or on several.
/// </summary>
public sealed class EvaluationMode : IDisposable
{
    private static readonly ConditionalWeakTable<nn.Module, Modes> _open = [];
    private static readonly Lock _lock = new();

    private readonly nn.Module _module;
    private bool _disposed;

    /// <summary>Sets a module to evaluation mode, unless another scope of it is open.</summary>
    /// <param name="module">The module. It must not be disposed before this scope.</param>
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

    /// <summary>Returns whether a scope of the module is open.</summary>
    public static bool IsOpen(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        lock (_lock)
            return _open.TryGetValue(module, out var modes) && modes.Scopes > 0;
    }

    /// <summary>Restores the previous modes, unless another scope of the module is open.</summary>
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

    /// <summary>The modes of a module and its submodules before the first scope was opened.</summary>
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

            // train() also sets the mode of all descendants. modules() returns parents before their children, so that the mode of each
            // module is set last by its own call.
            var training = _wereTraining.ToHashSet();
            foreach (var part in module.modules().Prepend(module))
                part.train(training.Contains(part));
        }
    }
}

/// <summary>Sets <c>requires_grad</c> of the parameters of a module to false until every holder has released the module.</summary>
internal sealed class FrozenWeights
{
    private static readonly ConditionalWeakTable<nn.Module, FrozenWeights> Known = [];

    private readonly HashSet<string> _frozen = new(StringComparer.Ordinal);
    private int _holders;

    /// <summary>Freezes the parameters of a module and adds a holder.</summary>
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

    /// <summary>Removes a holder. If it was the last one, the frozen parameters require gradients again.</summary>
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
