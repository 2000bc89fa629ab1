using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The base class of denoisers that wrap another one. By default, all calls are forwarded to it.</summary>
/// <param name="inner">The wrapped denoiser. It is not disposed.</param>
public abstract class DelegatingDenoiser(IDenoiser inner) : IDenoiser
{
    /// <summary>The wrapped denoiser.</summary>
    public IDenoiser Inner { get; } = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <inheritdoc/>
    public virtual Device? Device => Inner.Device;

    /// <summary>
    /// <see langword="true"/> if the output in a scope of <see cref="BeginInference"/> is that of <see cref="Inner"/>, so that a saved
    /// model does not have to contain this wrapper. The default is <see langword="false"/>.
    /// </summary>
    public virtual bool IsTransparent => false;

    /// <inheritdoc/>
    public virtual Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => Inner.Predict(xt, t, condition);

    /// <inheritdoc/>
    public virtual IDisposable? BeginInference() => Inner.BeginInference();
}

/// <summary>The base class of trainable denoisers that wrap another trainable one.</summary>
/// <param name="inner">The wrapped denoiser. It is not disposed.</param>
public abstract class DelegatingTrainableDenoiser(ITrainableDenoiser inner) : DelegatingDenoiser(inner), ITrainableDenoiser
{
    /// <inheritdoc/>
    public nn.Module Module => ((ITrainableDenoiser)Inner).Module;
}
