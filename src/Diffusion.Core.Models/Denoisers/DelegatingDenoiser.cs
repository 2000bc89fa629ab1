using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A network around another one. Override what differs; everything else is forwarded.</summary>
/// <param name="inner">The network. It is not disposed.</param>
public abstract class DelegatingDenoiser(IDenoiser inner) : IDenoiser
{
    /// <summary>The network inside.</summary>
    public IDenoiser Inner { get; } = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <inheritdoc/>
    public virtual Device? Device => Inner.Device;

    /// <summary>
    /// True if the output in an inference scope is that of <see cref="Inner"/>, so that saving a model can leave this wrapper out. The
    /// default is <see langword="false"/>.
    /// </summary>
    public virtual bool IsTransparent => false;

    /// <inheritdoc/>
    public virtual Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => Inner.Predict(xt, t, condition);

    /// <inheritdoc/>
    public virtual IDisposable? BeginInference() => Inner.BeginInference();
}

/// <summary>A <see cref="DelegatingDenoiser"/> whose inner network can be trained through it.</summary>
/// <param name="inner">The network. It is not disposed.</param>
public abstract class DelegatingTrainableDenoiser(ITrainableDenoiser inner) : DelegatingDenoiser(inner), ITrainableDenoiser
{
    /// <inheritdoc/>
    public nn.Module Module => ((ITrainableDenoiser)Inner).Module;
}
