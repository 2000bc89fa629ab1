using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A network that is told another condition than it is given: the unconditional half of classifier-free guidance.</summary>
/// <param name="denoiser">The network; not disposed.</param>
/// <param name="condition">
/// From the given condition to the one that the network is told, or null for none; what it makes anew is disposed after the call.
/// </param>
public sealed class ReconditionedDenoiser(IDenoiser denoiser, Func<Condition?, Condition?> condition) : IDenoiser
{
    private readonly IDenoiser _denoiser = denoiser ?? throw new ArgumentNullException(nameof(denoiser));
    private readonly Func<Condition?, Condition?> _condition = condition ?? throw new ArgumentNullException(nameof(condition));

    /// <inheritdoc/>
    public Device? Device => _denoiser.Device;

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        var told = _condition(condition);
        using var made = ReferenceEquals(told, condition) ? null : told;
        return _denoiser.Predict(xt, t, told);
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => _denoiser.BeginInference();
}
