using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Testing;

/// <summary>A denoiser that is a function, and that counts what is asked of it.</summary>
public sealed class FunctionDenoiser(Func<Tensor, Tensor, Condition?, Tensor> predict) : IDenoiser
{
    public FunctionDenoiser(Func<Tensor, Tensor> predict)
        : this((x, _, _) => predict(x))
    {
    }

    /// <summary>Calls of the network.</summary>
    public int Calls { get; private set; }

    /// <summary>Scopes opened by <see cref="BeginInference"/>.</summary>
    public int Begun { get; private set; }

    /// <summary>Scopes closed again.</summary>
    public int Ended { get; private set; }

    /// <summary>True when the network was ever called outside such a scope, or with gradients on.</summary>
    public bool Misused { get; private set; }

    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        Calls++;
        Misused |= Begun == Ended || is_grad_enabled();
        return predict(xt, t, condition);
    }

    public IDisposable? BeginInference()
    {
        Begun++;
        return new Scope(this);
    }

    private sealed class Scope(FunctionDenoiser owner) : IDisposable
    {
        public void Dispose() => owner.Ended++;
    }
}
