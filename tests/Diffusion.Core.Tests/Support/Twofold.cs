using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>A denoiser that answers with a second half of channels, for the variance.</summary>
internal sealed class Twofold(TinyDenoiser inner) : ITrainableDenoiser
{
    public nn.Module Module => inner;

    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var mean = inner.Predict(xt, t, condition);
        return cat([mean, mean.mul(0.1)], 1).MoveToOuterDisposeScope();
    }
}
