using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A guidance of one's own: the mean of what several networks say.</summary>
internal sealed class MeanGuidance(params IDenoiser[] denoisers) : IDenoiser
{
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var answers = denoisers.Select(denoiser => denoiser.Predict(xt, t, condition)).ToArray();
        return stack(answers).mean([0L]).MoveToOuterDisposeScope();
    }
}
