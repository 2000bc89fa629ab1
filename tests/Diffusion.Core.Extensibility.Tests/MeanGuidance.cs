using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom guidance: the mean of the predictions of several networks.</summary>
internal sealed class MeanGuidance(params IDenoiser[] denoisers) : IDenoiser
{
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var answers = denoisers.Select(denoiser => denoiser.Predict(xt, t, condition)).ToArray();
        return stack(answers).mean([0L]).MoveToOuterDisposeScope();
    }
}
