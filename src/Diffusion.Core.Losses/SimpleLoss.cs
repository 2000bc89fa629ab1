using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>L_simple: the mean squared error between a prediction and its target (Ho et al. 2020, eq. 14).</summary>
/// <param name="prediction">What the network predicts; eps unless said otherwise.</param>
public sealed class SimpleLoss(IPrediction? prediction = null) : IDiffusionLoss
{
    /// <summary>The name of the squared error among the terms; here it is the loss itself, without gradients.</summary>
    public const string MseName = "mse";

    /// <summary>What the network predicts.</summary>
    public IPrediction Prediction { get; } = prediction ?? Schedules.Prediction.Epsilon;

    /// <inheritdoc/>
    /// <returns><c>loss</c> and <c>mse</c>, [B] each: the mean over all dimensions but the first; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or the network answers with another shape than x_0.</exception>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(process);
        using var scope = NewDisposeScope();
        var xt = process.Sample(x0, t, noise);
        var target = process.Target(Prediction, x0, t, noise);
        using var output = denoiser.Predict(xt, t, condition);
        Guard.SameShape(target, output);
        var error = output.sub(target);
        var mse = error.mul(error).reshape(x0.shape[0], -1).mean([1L]);
        return new LossTerms(mse.MoveToOuterDisposeScope()).Add(MseName, mse.detach().clone().MoveToOuterDisposeScope());
    }
}
