using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// A trajectory between two steps. Its tensors belong to the sampler and are freed when the enumeration moves on or ends: clone what
/// is to be kept, and change nothing in place.
/// </summary>
public sealed class SamplerState
{
    private readonly Tensor? _denoised;

    /// <summary>Steps done: 0 for the noise sampling starts from, N for the finished sample.</summary>
    public required int Step { get; init; }

    /// <summary>N, the steps of the whole trajectory.</summary>
    public required int Steps { get; init; }

    /// <summary>alpha and sigma of <see cref="Sample"/>.</summary>
    public required NoiseLevel Level { get; init; }

    /// <summary>[B, ...] x after that many steps.</summary>
    public required Tensor Sample { get; init; }

    /// <summary>
    /// [B, ...] the x_0 predicted at the start of the last step; null before the first, and where the method did not evaluate there.
    /// </summary>
    public Tensor? Denoised
    {
        get => _denoised ?? Evaluation?.Data;
        init => _denoised = value;
    }

    /// <summary>What gives <see cref="Denoised"/> when it is asked for.</summary>
    internal Evaluation? Evaluation { get; init; }
}
