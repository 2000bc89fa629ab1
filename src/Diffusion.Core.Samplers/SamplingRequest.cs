using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>What to sample: how many, how large, from which seed or noise, and where. Owns none of its tensors.</summary>
public sealed record SamplingRequest
{
    /// <summary>[B, ...] the shape of the batch, such as <c>[64, 1, 28, 28]</c>.</summary>
    public required long[] Shape { get; init; }

    /// <summary>The root seed. Sample i of the batch depends on (Seed, FirstSample + i) and on nothing else.</summary>
    public long Seed { get; init; }

    /// <summary>
    /// The index of the first sample of the batch: samples 64 to 127 of a seed are those of a second batch of 64 that starts at 64.
    /// </summary>
    public long FirstSample { get; init; }

    /// <summary>What the network is told beside x_t and t, for the whole batch, or null.</summary>
    public Condition? Condition { get; init; }

    /// <summary>
    /// [B, ...] x at the first level of the grid, in place of a draw; used as it is. It decides the type and the device.
    /// </summary>
    public Tensor? InitialSample { get; init; }

    /// <summary>
    /// [B, ...] data that the trajectory starts from, noised to the first level of the grid: image to image, with
    /// <see cref="TimeGrid.StartingAt"/> for a grid that begins later. It decides the type and the device.
    /// </summary>
    public Tensor? InitialData { get; init; }

    /// <summary>
    /// Called after each step with the new state. It may answer with a tensor that takes the place of the sample, which is then the
    /// sampler's, or with null. Runs without gradients, in a dispose scope of the step.
    /// </summary>
    public Func<SamplerState, Tensor?>? OnStep { get; init; }

    /// <summary>
    /// Gaussian draws in place of those of <see cref="Seed"/>; not disposed. The first draw is that of the initial sample,
    /// unless it is given.
    /// </summary>
    public INoiseSource? Noise { get; init; }

    /// <summary>Where to sample; null for the device of the denoiser, or the CPU where it names none.</summary>
    public Device? Device { get; init; }

    /// <summary>The floating point type of the trajectory.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;
}
