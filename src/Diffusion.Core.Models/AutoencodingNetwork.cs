using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The base of this library's autoencoders. Called as a module, it reconstructs.</summary>
/// <param name="name">The name of the module.</param>
public abstract class AutoencodingNetwork(string name) : nn.Module<Tensor, Tensor>(name), ITrainableAutoencoder
{
    nn.Module ITrainableAutoencoder.Module => this;

    /// <inheritdoc/>
    public virtual LatentScaling? Scaling => null;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shape or type does not fit; the message names what was expected.</exception>
    public abstract ILatentDistribution Encode(Tensor x);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shape or type does not fit; the message names what was expected.</exception>
    public abstract Tensor Decode(Tensor z);

    /// <summary>The reconstruction from the mode of the code.</summary>
    /// <param name="input">[B, ...] data.</param>
    /// <returns>[B, ...] what <see cref="Decode"/> makes of it; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        using var code = Encode(input);
        return Decode(code.Mode);
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(this);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Networks register their parts by name in the constructor.
    }
}
