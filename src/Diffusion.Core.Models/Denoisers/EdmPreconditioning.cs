using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// EDM's preconditioning around any network F: <c>x_0 = c_skip x + c_out F(c_in x, c_noise)</c>, so that input, target and output of F
/// have unit variance at every noise level. What it predicts is x_0 (<c>Prediction.Data</c>), of <c>x = x_0 + sigma eps</c>.
/// </summary>
/// <remarks>
/// <para>
/// Source: Karras et al. 2022, eq. 7 and table 1: <c>c_skip = sigma_data^2 / (sigma^2 + sigma_data^2)</c>, <c>c_out = sigma sigma_data /
/// sqrt(sigma^2 + sigma_data^2)</c>, <c>c_in = 1 / sqrt(sigma^2 + sigma_data^2)</c>, <c>c_noise = log(sigma) / 4</c>. They are computed in
/// double precision on the device, one for each sample.
/// </para>
/// <para>
/// <c>Prediction.Edm</c> is the same algebra in the loss and the sampler, around the raw network. This wrapper is for those that know
/// nothing of it. Trained on x_0 with EDM's weighting, both have the same loss.
/// </para>
/// </remarks>
public sealed class EdmPreconditioning : ITrainableDenoiser
{
    private const double NoiseScale = 0.25;

    private readonly ITrainableDenoiser _network;
    private readonly double? _timeScale;

    /// <summary>A network with its preconditioning.</summary>
    /// <param name="network">F; told c_noise for its t, in double precision. Not disposed.</param>
    /// <param name="sigmaData">The standard deviation of the data.</param>
    /// <param name="timeScale">
    /// Null where t is sigma itself; otherwise t is <c>timeScale log(sigma)</c>, as <c>EdmSchedule</c> has it, with 1/4 unless told
    /// otherwise.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not finite and positive.</exception>
    public EdmPreconditioning(ITrainableDenoiser network, double sigmaData = 0.5, double? timeScale = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        Guard.Positive(timeScale ?? 1, nameof(timeScale));
        (_network, SigmaData, _timeScale) = (network, Guard.Positive(sigmaData), timeScale);
    }

    /// <summary>The standard deviation of the data.</summary>
    public double SigmaData { get; }

    /// <inheritdoc/>
    public nn.Module Module => _network.Module;

    /// <summary>The estimate of x_0.</summary>
    /// <param name="xt">[B, ...] x_0 + sigma eps.</param>
    /// <param name="t">[B] sigma, greater than 0, or its logarithm as the constructor was told; int64 or floating point.</param>
    /// <param name="condition">What the network is told.</param>
    /// <returns>The shape of <paramref name="xt"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit, or the network answers with another shape.</exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        if (xt.dim() < 1)
            throw new ArgumentException("x_t must have shape [B, ...], got a scalar.", nameof(xt));
        DenoiserGuard.Times(t, xt.shape[0]);
        using var scope = NewDisposeScope();
        var time = t.to(ScalarType.Float64, xt.device);
        var logSigma = _timeScale is { } scale ? time.Div(scale) : time.log();
        var sigma = _timeScale is null ? time : logSigma.exp();
        var variance = sigma.Pow(2).Add(SigmaData * SigmaData);
        var deviation = variance.sqrt();
        Tensor Cast(Tensor coefficient) => Layers.Trailing(coefficient.to(xt.dtype), (int)xt.dim() - 1);
        var answer = _network.Predict(xt.mul(Cast(deviation.reciprocal())), logSigma.Mul(NoiseScale), condition);
        Guard.Shape(answer, xt.shape);
        var skipped = xt.mul(Cast(variance.reciprocal().Mul(SigmaData * SigmaData)));
        return answer.mul(Cast(sigma.Mul(SigmaData).div(deviation))).Add_(skipped).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => _network.BeginInference();
}
