using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Diffusion in the latent space of an autoencoder: any model, any sampler, any autoencoder. Train the model on a
/// <see cref="LatentDataset"/> of the same scaling.
/// </summary>
/// <remarks>
/// Source: Rombach et al. 2022, section 3. Owns neither network. Latents have no range: where the model has no
/// <see cref="DiffusionModel.DataRange"/>, nothing is clipped.
/// </remarks>
public sealed class LatentDiffusion
{
    /// <summary>A model in the latent space of an autoencoder.</summary>
    /// <param name="autoencoder">Between data and latents. It is not disposed.</param>
    /// <param name="model">Trained on scaled latents. It is not disposed.</param>
    /// <param name="scaling">
    /// How latents are scaled for the model. The default is the scaling of the autoencoder, or none where it has none.
    /// </param>
    public LatentDiffusion(IAutoencoder autoencoder, DiffusionModel model, LatentScaling? scaling = null)
    {
        (Autoencoder, Model) = (Guard.NotNull(autoencoder), Guard.NotNull(model));
        if (model.DataRange is null)
            Model = model.With(DataRange.Unbounded);
        Scaling = scaling ?? autoencoder.Scaling ?? LatentScaling.None;
    }

    /// <summary>Between data and latents.</summary>
    public IAutoencoder Autoencoder { get; }

    /// <summary>Predicts scaled latents.</summary>
    public DiffusionModel Model { get; }

    /// <summary>How latents are scaled for the model.</summary>
    public LatentScaling Scaling { get; }

    /// <summary>The scaling of Rombach et al. 2022: 1/std of the latents of a first batch, so that they have unit variance.</summary>
    /// <param name="autoencoder">Gives the latents; the batch is moved to its device.</param>
    /// <param name="data">The data; its first samples are taken.</param>
    /// <param name="samples">How many, at most those that there are. 256 by default.</param>
    /// <param name="seed">Latent i is the draw of (seed, i) from q(z | x_i).</param>
    /// <exception cref="ArgumentException">The data set is empty or does not fit, or its latents are all the same.</exception>
    public static LatentScaling MeasureScaling(IAutoencoder autoencoder, IDataset data, int samples = 256, long seed = 0)
    {
        using var batch = FirstLatents(autoencoder, data, samples, seed);
        return LatentScaling.Measure(batch.Samples);
    }

    /// <summary>The scaling that gives each channel of the latents of a first batch mean 0 and variance 1.</summary>
    /// <inheritdoc cref="MeasureScaling"/>
    public static LatentScaling MeasureScalingPerChannel(IAutoencoder autoencoder, IDataset data, int samples = 256, long seed = 0)
    {
        using var batch = FirstLatents(autoencoder, data, samples, seed);
        return LatentScaling.MeasurePerChannel(batch.Samples);
    }

    private static Batch FirstLatents(IAutoencoder autoencoder, IDataset data, int samples, long seed)
    {
        var latents = new LatentDataset(data, autoencoder, LatentScaling.None, seed);
        var indices = new long[Math.Min(Guard.Positive(samples), latents.Count)];
        for (var i = 0; i < indices.Length; i++)
            indices[i] = i;
        return latents.Load(indices);
    }

    /// <summary>The scaled latents of data, without gradients.</summary>
    /// <param name="x">[B, ...] data, on the device of the autoencoder.</param>
    /// <param name="generator">Draws from q(z | x); null for its mode.</param>
    /// <returns>[B, C, ...]; the caller's.</returns>
    public Tensor Encode(Tensor x, Generator? generator = null)
    {
        using var gradientsOff = no_grad();
        using var inference = Autoencoder.BeginInference();
        using var code = Autoencoder.Encode(x);
        using var latent = generator is null ? code.Mode.alias() : code.Sample(generator);
        return Scaling.Apply(latent);
    }

    /// <summary>The data of scaled latents, without gradients.</summary>
    /// <param name="scaled">[B, C, ...], on the device of the autoencoder.</param>
    /// <returns>[B, ...] what the decoder says; the caller's.</returns>
    public Tensor Decode(Tensor scaled)
    {
        using var gradientsOff = no_grad();
        using var inference = Autoencoder.BeginInference();
        using var latent = Scaling.Invert(scaled);
        return Autoencoder.Decode(latent);
    }

    /// <summary>Samples latents from a seed, and decodes them.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="shape">[B, C, ...] the shape of the latents.</param>
    /// <param name="seed">The root seed; sample i depends on it and on i only.</param>
    /// <param name="condition">What the denoiser is told beside x_t and t, for the whole batch; not disposed.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>[B, ...] what the decoder says; the caller's.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public Tensor Sample(
        ISampler sampler,
        long[] shape,
        long seed,
        Condition? condition = null,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
        => Sample(sampler, new SamplingRequest { Shape = shape, Seed = seed, Condition = condition }, progress, cancellationToken);

    /// <summary>Samples the latents that a request asks for, and decodes them.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="request">In scaled latents.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>[B, ...] what the decoder says; the caller's.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public Tensor Sample(
        ISampler sampler,
        SamplingRequest request,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        using var latents = sampler.Sample(Model, request, progress, cancellationToken);
        if (Autoencoder.Device is not { } device)
            return Decode(latents);
        using var moved = latents.to(device);
        return Decode(moved);
    }
}
