using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

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
