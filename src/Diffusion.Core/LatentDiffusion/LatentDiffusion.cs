using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Diffusion in the latent space of an autoencoder, with any model, sampler and autoencoder. The model is trained on a
/// <see cref="LatentDataset"/> with the same scaling.
/// </summary>
/// <remarks>
/// Source: Rombach et al. 2022, section 3. The networks are not disposed with this object. Latents have no range: if the model has no
/// <see cref="DiffusionModel.DataRange"/>, nothing is clipped.
/// </remarks>
public sealed class LatentDiffusion
{
    /// <summary>Initializes a new instance of the <see cref="LatentDiffusion"/> class.</summary>
    /// <param name="autoencoder">The autoencoder. It is not disposed.</param>
    /// <param name="model">A model that was trained on scaled latents. It is not disposed.</param>
    /// <param name="scaling">
    /// The scaling of latents for the model. The default is the scaling of the autoencoder, or none if it has none.
    /// </param>
    public LatentDiffusion(IAutoencoder autoencoder, DiffusionModel model, LatentScaling? scaling = null)
    {
        (Autoencoder, Model) = (Guard.NotNull(autoencoder), Guard.NotNull(model));
        if (model.DataRange is null)
            Model = model.With(DataRange.Unbounded);
        Scaling = scaling ?? autoencoder.Scaling ?? LatentScaling.None;
    }

    /// <summary>The autoencoder, which encodes data to latents and decodes latents.</summary>
    public IAutoencoder Autoencoder { get; }

    /// <summary>The model of scaled latents.</summary>
    public DiffusionModel Model { get; }

    /// <summary>The scaling of latents for the model.</summary>
    public LatentScaling Scaling { get; }

    /// <summary>
    /// Measures the scaling of Rombach et al. 2022: 1/std of the latents of the first samples, which gives them unit variance.
    /// </summary>
    /// <param name="autoencoder">Encodes the data. The batch is moved to its device.</param>
    /// <param name="data">The data set, whose first samples are encoded.</param>
    /// <param name="samples">
    /// The number of samples to encode; all samples if the data set has fewer. The default is 256.
    /// </param>
    /// <param name="seed">The seed: latent i is a sample of q(z | x_i) drawn with (seed, i).</param>
    /// <exception cref="ArgumentException">
    /// The data set is empty or does not fit the autoencoder, or all latents are equal.
    /// </exception>
    public static LatentScaling MeasureScaling(IAutoencoder autoencoder, IDataset data, int samples = 256, long seed = 0)
    {
        using var batch = FirstLatents(autoencoder, data, samples, seed);
        return LatentScaling.Measure(batch.Samples);
    }

    /// <summary>Measures the scaling that gives each channel of the latents of the first samples mean 0 and variance 1.</summary>
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

    /// <summary>Encodes data to scaled latents, without gradients.</summary>
    /// <param name="x">[B, ...] data, on the device of the autoencoder.</param>
    /// <param name="generator">The generator for a sample of q(z | x). The default is <see langword="null"/>: the mode of q(z | x).</param>
    /// <returns>[B, C, ...] scaled latents. The caller must dispose the returned tensor.</returns>
    public Tensor Encode(Tensor x, Generator? generator = null)
    {
        using var gradientsOff = no_grad();
        using var inference = Autoencoder.BeginInference();
        using var code = Autoencoder.Encode(x);
        using var latent = generator is null ? code.Mode.alias() : code.Sample(generator);
        return Scaling.Apply(latent);
    }

    /// <summary>Decodes scaled latents to data, without gradients.</summary>
    /// <param name="scaled">[B, C, ...] scaled latents, on the device of the autoencoder.</param>
    /// <returns>[B, ...] the output of the decoder. The caller must dispose the returned tensor.</returns>
    public Tensor Decode(Tensor scaled)
    {
        using var gradientsOff = no_grad();
        using var inference = Autoencoder.BeginInference();
        using var latent = Scaling.Invert(scaled);
        return Autoencoder.Decode(latent);
    }

    /// <summary>Samples latents with a seed and decodes them.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="shape">[B, C, ...] the shape of the latents.</param>
    /// <param name="seed">The root seed. Sample i depends only on it and on i.</param>
    /// <param name="condition">The condition of the whole batch. It is not disposed.</param>
    /// <param name="progress">Receives a report after each step.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>[B, ...] the output of the decoder. The caller must dispose the returned tensor.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public Tensor Sample(
        ISampler sampler,
        long[] shape,
        long seed,
        Condition? condition = null,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
        => Sample(sampler, new SamplingRequest { Shape = shape, Seed = seed, Condition = condition }, progress, cancellationToken);

    /// <summary>Samples the latents that a request describes and decodes them.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="request">The request, in scaled latents.</param>
    /// <param name="progress">Receives a report after each step.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>[B, ...] the output of the decoder. The caller must dispose the returned tensor.</returns>
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
