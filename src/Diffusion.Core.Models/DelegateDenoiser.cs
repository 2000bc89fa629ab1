using static TorchSharp.torch;

namespace Diffusion.Core.Models;

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
