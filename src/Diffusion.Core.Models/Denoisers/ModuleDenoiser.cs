using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Uses any TorchSharp module as a denoiser. The module is not disposed.</summary>
public sealed class ModuleDenoiser : ITrainableDenoiser
{
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _predict;

    /// <summary>Creates an unconditional denoiser. It can be trained on labelled data, because conditions are ignored.</summary>
    /// <param name="module">Maps (x_t, t) to a prediction.</param>
    public ModuleDenoiser(nn.Module<Tensor, Tensor, Tensor> module)
        : this(module, (xt, t, _) => module.call(xt, t))
    {
    }

    /// <summary>Creates a denoiser that is conditioned on class labels.</summary>
    /// <param name="module">Maps (x_t, t, labels) to a prediction.</param>
    public ModuleDenoiser(nn.Module<Tensor, Tensor, Tensor, Tensor> module)
        : this(module, (xt, t, condition) => module.call(xt, t, WithLabels(condition)))
    {
    }

    /// <summary>Creates a denoiser that calls a module through a custom function.</summary>
    /// <param name="module">The module that owns the parameters.</param>
    /// <param name="predict">Calls the module with x_t, t and the condition, and returns a new tensor.</param>
    public ModuleDenoiser(nn.Module module, Func<Tensor, Tensor, Condition?, Tensor> predict)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(predict);
        (Module, _predict) = (module, predict);
    }

    /// <inheritdoc/>
    public nn.Module Module { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// t is not [B] in int64 or floating point, or the module requires labels and the condition has none.
    /// </exception>
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

/// <summary>Uses a function without trainable weights as a denoiser, such as the exact score of a known distribution.</summary>
/// <param name="predict">Returns the prediction for x_t, t and the condition as a new tensor.</param>
public sealed class DelegateDenoiser(Func<Tensor, Tensor, Condition?, Tensor> predict) : IDenoiser
{
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _predict = predict ?? throw new ArgumentNullException(nameof(predict));

    /// <summary>Creates an unconditional denoiser.</summary>
    /// <param name="predict">Returns the prediction for x_t and t as a new tensor.</param>
    public DelegateDenoiser(Func<Tensor, Tensor, Tensor> predict)
        : this(predict is null ? null! : (xt, t, _) => predict(xt, t))
    {
    }

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => _predict(xt, t, condition);
}
