using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A data set as the latents of an autoencoder, scaled for a denoiser: what latent diffusion is trained on.</summary>
/// <remarks>
/// Source: Rombach et al. 2022, section 3.1. Conditions pass through as they are. A set encodes what is asked for, each time, until
/// <see cref="EncodeAll"/> has kept all of it.
/// </remarks>
public sealed class LatentDataset : IDataset
{
    private readonly IDataset _data;
    private readonly IAutoencoder _autoencoder;
    private readonly long? _seed;
    private readonly int _size;
    private float[]? _kept;

    /// <summary>The latents of a data set; one sample is encoded to learn their shape.</summary>
    /// <param name="data">The data.</param>
    /// <param name="autoencoder">Gives them their latents; batches are moved to its device. Its weights must not change meanwhile.</param>
    /// <param name="scaling">What a denoiser sees of latents; that of the autoencoder where null, and none where it has none.</param>
    /// <param name="seed">
    /// Latent i is the draw of (seed, i) from q(z | x_i); null, the default, for the mode of it.
    /// </param>
    /// <exception cref="ArgumentException">The data set is empty, or its samples do not fit the autoencoder.</exception>
    public LatentDataset(IDataset data, IAutoencoder autoencoder, LatentScaling? scaling = null, long? seed = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(autoencoder);
        if (data.Count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {data.Count}.", nameof(data));
        (_data, _autoencoder, _seed) = (data, autoencoder, seed);
        Scaling = scaling ?? autoencoder.Scaling ?? LatentScaling.None;
        using var first = data.Load([0L]);
        using var latent = Encode(first.Samples, [0L]);
        SampleShape = latent.shape[1..];
        _size = checked((int)latent.numel());
    }

    /// <summary>What a denoiser sees of latents.</summary>
    public LatentScaling Scaling { get; }

    /// <inheritdoc/>
    public long Count => _data.Count;

    /// <inheritdoc/>
    /// <remarks>
    /// On the thread that trains while it needs the network; as the data once <see cref="EncodeAll"/> has kept all latents.
    /// </remarks>
    public LoadThreading Threading => _kept is null ? LoadThreading.Caller : _data.Threading;

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; }

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Unbounded;

    /// <summary>Encodes the whole set and keeps its latents in memory, so that the autoencoder is not called again.</summary>
    /// <param name="batchSize">Samples encoded together.</param>
    /// <param name="progress">Told the number of samples done, after each batch.</param>
    /// <param name="cancellationToken">Looked at before each batch; nothing is kept then.</param>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is less than 1.</exception>
    /// <exception cref="ArgumentException">There are too many values for one array.</exception>
    public void EncodeAll(int batchSize = 256, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        Guard.InRange(batchSize, 1, int.MaxValue);
        if ((Int128)Count * _size > Array.MaxLength)
            throw new ArgumentException($"{Count} latents of {_size} values are too many to keep.", nameof(batchSize));
        var kept = new float[Count * _size];
        for (var first = 0L; first < Count; first += batchSize)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var indices = new long[Math.Min(batchSize, Count - first)];
            for (var i = 0; i < indices.Length; i++)
                indices[i] = first + i;
            using var batch = _data.Load(indices);
            using var latents = Encode(batch.Samples, indices);
            MemoryMarshal.Cast<byte, float>(latents.bytes).CopyTo(kept.AsSpan((int)first * _size));
            progress?.Report(first + indices.Length);
        }

        _kept = kept;
    }

    /// <inheritdoc/>
    /// <returns>[B, C, ...] float32 scaled latents; the caller's.</returns>
    public Batch Load(ReadOnlySpan<long> indices) => Latents(_data.Load(indices), indices);

    /// <inheritdoc/>
    /// <returns>
    /// [B, C, ...] float32 scaled latents of the data as it is augmented, unless latents are kept; the caller's.
    /// </returns>
    public Batch Load(ReadOnlySpan<long> indices, LoadContext context) => Latents(_data.Load(indices, context), indices);

    private Batch Latents(Batch batch, ReadOnlySpan<long> indices)
    {
        using var samples = batch.Samples;
        try
        {
            return new Batch(_kept is null ? Encode(samples, indices) : Kept(indices), batch.Condition);
        }
        catch
        {
            batch.Condition?.Dispose();
            throw;
        }
    }

    private Tensor Kept(ReadOnlySpan<long> indices)
    {
        var latents = empty([indices.Length, .. SampleShape], ScalarType.Float32);
        var values = MemoryMarshal.Cast<byte, float>(latents.bytes);
        for (var i = 0; i < indices.Length; i++)
            _kept.AsSpan(checked((int)(indices[i] * _size)), _size).CopyTo(values[(i * _size)..]);
        return latents;
    }

    private Tensor Encode(Tensor samples, ReadOnlySpan<long> indices)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var inference = _autoencoder.BeginInference();
        using var code = _autoencoder.Encode(samples.to(_autoencoder.Device ?? CPU));
        var latent = _seed is { } seed ? code.Sample(Noise(code.Mode, seed, indices)) : code.Mode;
        return Scaling.Apply(latent).to(ScalarType.Float32).cpu().contiguous().MoveToOuterDisposeScope();
    }

    private static Tensor Noise(Tensor like, long seed, ReadOnlySpan<long> indices)
    {
        var rows = new Tensor[indices.Length];
        for (var i = 0; i < rows.Length; i++)
        {
            using var one = new PerSampleNoise(seed, 1, indices[i]);
            rows[i] = one.Draw(like.narrow(0, i, 1));
        }

        return cat(rows);
    }
}
