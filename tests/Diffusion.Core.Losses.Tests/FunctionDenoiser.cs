using Diffusion.Core.Models;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

/// <summary>A network that is a function of x_t and t; counts its calls and keeps what it was last told.</summary>
internal sealed class FunctionDenoiser(Func<torch.Tensor, torch.Tensor, torch.Tensor> function) : IDenoiser
{
    public int Calls { get; private set; }

    public Condition? LastCondition { get; private set; }

    public torch.Tensor Predict(torch.Tensor xt, torch.Tensor t, Condition? condition = null)
    {
        Calls++;
        LastCondition = condition;
        return function(xt, t);
    }
}
