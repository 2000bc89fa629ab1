using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The latents of a data set, encoded by an autoencoder and scaled for a denoiser: the training data of latent diffusion.
/// </summary>
/// <remarks>
/// Source: Rombach et al. 2022, section 3.1. Conditions are passed through unchanged. Each call encodes the requested samples, until
/// <see cref="EncodeAll"/> has stored all latents in memory.
/// </remarks>
public sealed class LatentDataset : IDataset
{
    private readonly IDataset _data;
    private readonly IAutoencoder _autoencoder;
    private readonly long? _seed;
    private readonly int _size;
    private float[]? _kept;

    /// <summary>
    /// Initializes a new instance of the <see cref="LatentDataset"/> class. One sample is encoded to determine the shape.
    /// </summary>
    /// <param name="data">The data to encode.</param>
    /// <param name="autoencoder">
    /// Encodes the data. Batches are moved to its device. Its weights must not change while the data set is in use.
    /// </param>
    /// <param name="scaling">
    /// The scaling of latents for the denoiser. The default is the scaling of the autoencoder, or none if it has none.
    /// </param>
    /// <param name="seed">
    /// The seed: latent i is a sample of q(z | x_i) drawn with (seed, i). The default is <see langword="null"/>: latent i is the mode of
    /// q(z | x_i).
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

    /// <summary>The scaling of latents for the denoiser.</summary>
    public LatentScaling Scaling { get; }

    /// <inheritdoc/>
    public long Count => _data.Count;

    /// <inheritdoc/>
    /// <remarks>
    /// <see cref="LoadThreading.Caller"/> while samples are encoded on demand; the value of the data once <see cref="EncodeAll"/> has
    /// stored all latents.
    /// </remarks>
    public LoadThreading Threading => _kept is null ? LoadThreading.Caller : _data.Threading;

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; }

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Unbounded;

    /// <summary>Encodes the whole data set and stores its latents in memory, so that the autoencoder is not called again.</summary>
    /// <param name="batchSize">The number of samples that are encoded together. The default is 256.</param>
    /// <param name="progress">Receives the number of encoded samples after each batch.</param>
    /// <param name="cancellationToken">Checked before each batch. If it is cancelled, no latents are stored.</param>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is less than 1.</exception>
    /// <exception cref="ArgumentException">The latents have too many values for one array.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public void EncodeAll(int batchSize = 256, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        Guard.InRange(batchSize, 1, int.MaxValue);
        if ((Int128)Count * _size > Array.MaxLength)
            throw new ArgumentException(Invariant($"{Count} latents of {_size} values are too many to keep."), nameof(batchSize));
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
    /// <returns>[B, C, ...] float32 scaled latents. The caller must dispose the batch.</returns>
    public Batch Load(ReadOnlySpan<long> indices) => Latents(_data.Load(indices), indices);

    /// <inheritdoc/>
    /// <returns>
    /// [B, C, ...] float32 scaled latents of the augmented data; or the stored latents, without augmentation. The caller must dispose the
    /// batch.
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
