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
