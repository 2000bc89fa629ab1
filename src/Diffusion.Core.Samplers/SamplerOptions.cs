using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>What a sampler needs to know beside its grid and its method. The defaults are those of a DDPM of images in [-1, 1].</summary>
public sealed record SamplerOptions
{
    /// <summary>What the network predicts; eps unless said otherwise.</summary>
    public IPrediction Prediction { get; init; } = Schedules.Prediction.Epsilon;

    /// <summary>
    /// Keeps the predicted x_0 within the range of the data, before each step: clipping to [-1, 1] unless said otherwise. Set it to
    /// null for data without such a range.
    /// </summary>
    public IThresholding? Threshold { get; init; } = Thresholding.Static(1.0);

    /// <summary>
    /// True to derive eps from x_t and the thresholded x_0, so that the two agree and a network gives the same trajectory whatever it
    /// predicts. False keeps the network's own eps beside the thresholded x_0 (diffusers' DDIM without <c>use_clipped_model_output</c>).
    /// Where nothing is thresholded there is no difference.
    /// </summary>
    public bool RederiveNoise { get; init; } = true;

    /// <summary>
    /// True where the network answers with twice the channels of x_t, [B, 2C, ...]: the prediction, then what it says about the variance
    /// of a reverse step. Solvers that have no use for the variance leave it aside.
    /// </summary>
    public bool HasVarianceChannels { get; init; }

    /// <summary>
    /// The standard deviation of the noise that sampling starts from; null for <c>sqrt(alpha^2 + sigma^2)</c> at the start of the grid, the
    /// spread of noisy data of unit variance, which is 1 where the process preserves variance.
    /// </summary>
    public double? InitialScale { get; init; }
}
