using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Any TorchSharp module seen as a denoiser. The module stays its maker's to dispose.</summary>
public sealed class ModuleDenoiser : ITrainableDenoiser
{
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _predict;

    /// <summary>
    /// An unconditional network: (x_t, t) to a prediction. It can be trained on labelled data: the condition is ignored.
    /// </summary>
    public ModuleDenoiser(nn.Module<Tensor, Tensor, Tensor> module)
        : this(module, (xt, t, _) => module.call(xt, t))
    {
    }

    /// <summary>A network conditioned on classes: (x_t, t, labels) to a prediction.</summary>
    public ModuleDenoiser(nn.Module<Tensor, Tensor, Tensor, Tensor> module)
        : this(module, (xt, t, condition) => module.call(xt, t, WithLabels(condition)))
    {
    }

    /// <summary>A network that receives its inputs from a custom function.</summary>
    /// <param name="module">Owns the parameters.</param>
    /// <param name="predict">From x_t, t and the condition to a new tensor.</param>
    public ModuleDenoiser(nn.Module module, Func<Tensor, Tensor, Condition?, Tensor> predict)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(predict);
        (Module, _predict) = (module, predict);
    }

    /// <inheritdoc/>
    public nn.Module Module { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">t is not [B], or labels are missing or not expected.</exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        DenoiserGuard.Times(t, xt.shape[0]);
        return _predict(xt, t, condition);
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(Module);

    private static Tensor WithLabels(Condition? condition) => condition?.Labels
        ?? throw new ArgumentException("This network needs a label for each sample, got none.", nameof(condition));
}

/// <summary>A function seen as a denoiser: exact scores, and anything else without weights.</summary>
/// <param name="predict">From x_t, t and the condition to a new tensor.</param>
public sealed class DelegateDenoiser(Func<Tensor, Tensor, Condition?, Tensor> predict) : IDenoiser
{
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _predict = predict ?? throw new ArgumentNullException(nameof(predict));

    /// <summary>A function that takes no condition.</summary>
    /// <param name="predict">From x_t and t to a new tensor.</param>
    public DelegateDenoiser(Func<Tensor, Tensor, Tensor> predict)
        : this(predict is null ? null! : (xt, t, _) => predict(xt, t))
    {
    }

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => _predict(xt, t, condition);
}
