using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Turns noise into data with the help of a denoiser. Implement this one method for a sampler of your own;
/// <see cref="SamplerExtensions"/> makes the rest of it.
/// </summary>
public interface ISampler
{
    /// <summary>
    /// The trajectory, computed while it is enumerated: first the noise, then the state after each step. Enumerating it again starts
    /// again, and gives the same states where the noise comes from the seed.
    /// </summary>
    /// <remarks>
    /// Nothing is allocated before the first state is asked for, and everything is freed when the enumerator is disposed, which
    /// <c>foreach</c> does however it is left. Enumerate on one thread.
    /// </remarks>
    /// <param name="denoiser">Its <see cref="IDenoiser.BeginInference"/> lasts as long as the enumeration.</param>
    /// <param name="request">What to sample.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <exception cref="ArgumentException">
    /// The request does not fit together; or, while enumerating, the answer of the denoiser does not have the shape of its input.
    /// </exception>
    /// <exception cref="OperationCanceledException">While enumerating: the token was cancelled.</exception>
    IEnumerable<SamplerState> Steps(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken = default);
}

/// <summary>What every sampler can do.</summary>
public static class SamplerExtensions
{
    /// <summary>Samples a batch from a seed.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="denoiser">The network; put into inference while sampling lasts.</param>
    /// <param name="shape">[B, ...] the shape of the batch, such as <c>[64, 1, 28, 28]</c>.</param>
    /// <param name="seed">The root seed; sample i depends on it and on i only.</param>
    /// <param name="condition">What the network is told beside x_t and t, for the whole batch; not disposed.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>Float32, on the device of the denoiser; the caller's.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public static Tensor Sample(
        this ISampler sampler,
        IDenoiser denoiser,
        long[] shape,
        long seed,
        Condition? condition = null,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
        => sampler.Sample(
            denoiser, new SamplingRequest { Shape = shape, Seed = seed, Condition = condition }, progress, cancellationToken);

    /// <summary>Samples what a request asks for.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="denoiser">The network; put into inference while sampling lasts.</param>
    /// <param name="request">What to sample, from which noise, where and in which type.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>The finished batch; the caller's.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public static Tensor Sample(
        this ISampler sampler,
        IDenoiser denoiser,
        SamplingRequest request,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        Tensor? result = null;
        foreach (var state in sampler.Steps(denoiser, request, cancellationToken))
        {
            if (state.Step > 0)
                progress?.Report(new SamplingProgress(state.Step, state.Steps));
            if (state.Step == state.Steps)
                result = state.Sample.clone();
        }

        return result ?? throw new InvalidOperationException($"{sampler.GetType().Name} ended before its last step.");
    }
}

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

/// <summary>How far a sampler has come.</summary>
/// <param name="Step">Steps done, 1..<paramref name="Steps"/>.</param>
/// <param name="Steps">N, the steps of the whole trajectory.</param>
public readonly record struct SamplingProgress(int Step, int Steps);
