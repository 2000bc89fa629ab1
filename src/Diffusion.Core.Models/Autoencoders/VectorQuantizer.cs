using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A codebook of K vectors. It replaces latents by the nearest vectors, with a straight-through gradient to the latents.</summary>
/// <remarks>
/// Source: van den Oord et al. 2017, eq. 1 to 3. State: <c>embedding.weight</c>, [K, D]; with
/// <see cref="VectorQuantizerOptions.AverageDecay"/> also <c>cluster_size</c>, [K], and <c>embed_avg</c>, [K, D].
/// </remarks>
public sealed class VectorQuantizer : NamedModule
{
    private const string SizesName = "cluster_size";
    private const string SumsName = "embed_avg";
    private const double Smoothing = 1e-5;

    private readonly LabelEmbedding _embedding;

    /// <summary>Creates a codebook with vectors drawn from U(-1/K, 1/K).</summary>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    internal VectorQuantizer(VectorQuantizerOptions options)
        : base(nameof(VectorQuantizer))
    {
        ArgumentNullException.ThrowIfNull(options);
        Guard.Positive(options.Codes);
        Guard.Positive(options.Width);
        Guard.Factor(options.Beta);
        Guard.InRange(options.AverageDecay ?? 0.0, 0.0, Math.BitDecrement(1.0), nameof(options.AverageDecay));
        Options = options;
        _embedding = new LabelEmbedding(options.Codes, options.Width);
        using (no_grad())
            Codebook.uniform_(-1.0 / options.Codes, 1.0 / options.Codes);
        register_module("embedding", _embedding);
        if (options.AverageDecay is null)
            return;
        ParameterBudget.Spend(options.Codes);
        ParameterBudget.Spend(options.Codes, options.Width);
        Codebook.requires_grad = false;
        register_buffer(SizesName, ones([options.Codes]).DetachFromDisposeScope());
        register_buffer(SumsName, Codebook.detach().clone().DetachFromDisposeScope());
    }

    /// <summary>The options of the codebook.</summary>
    internal VectorQuantizerOptions Options { get; }

    /// <summary>The codebook, [K, D].</summary>
    public Tensor Codebook => _embedding.get_parameter("weight")!;

    /// <summary>
    /// Computes the perplexity, the effective number of codes in use: <c>exp(-sum p log p)</c> over the frequencies p of the codes.
    /// </summary>
    /// <param name="indices">Int64 indices of a codebook.</param>
    /// <param name="codes">K, the number of codes.</param>
    /// <returns>The perplexity, in [1, K]. The method waits for the device.</returns>
    public static double Perplexity(Tensor indices, int codes)
    {
        using var scope = NewDisposeScope();
        var shares = Counts(indices, codes);
        shares.Div_(Math.Max(1, indices.numel()));
        return Math.Exp(-shares.mul(shares.ClampMin(double.Epsilon).log()).sum().item<double>());
    }

    /// <summary>Computes the fraction of codes that occur.</summary>
    /// <param name="indices">Int64 indices of a codebook.</param>
    /// <param name="codes">K, the number of codes.</param>
    /// <returns>The fraction, in [0, 1]. The method waits for the device.</returns>
    public static double Usage(Tensor indices, int codes)
    {
        using var scope = NewDisposeScope();
        return Counts(indices, codes).Gt(0.0).to(ScalarType.Float64).mean().item<double>();
    }

    /// <summary>Replaces latents by the nearest vectors of the codebook.</summary>
    /// <param name="z">[B, D, ...], of the type and on the device of the codebook.</param>
    /// <returns>The codebook vectors, their indices and the loss. The caller must dispose the object.</returns>
    /// <exception cref="ArgumentException">The shape or type does not match.</exception>
    public Quantization Quantize(Tensor z)
    {
        ArgumentNullException.ThrowIfNull(z);
        if (z.dim() < 2 || z.shape[1] != Options.Width)
            throw new ArgumentException($"{nameof(z)} must have shape [B, {Options.Width}, ...], got {Guard.Format(z.shape)}.", nameof(z));
        Guard.SameType(Codebook, z);
        using var scope = NewDisposeScope();
        var rows = z.reshape(z.shape[0], Options.Width, -1).transpose(1, 2).reshape(-1, Options.Width);
        var places = Nearest(rows.detach());
        var indices = places.view([z.shape[0], .. z.shape[2..]]);
        var nearest = Lookup(indices);
        var commitment = nearest.detach().sub(z).Square().mean();
        Tensor loss;
        if (Options.AverageDecay is { } decay)
        {
            loss = commitment.Mul(Options.Beta);
            if (training)
                Follow(rows.detach(), places, decay);
        }
        else
        {
            var codebook = nearest.sub(z.detach()).Square().mean();
            loss = Options.LegacyBeta ? commitment.Add(codebook.Mul(Options.Beta)) : codebook.Add(commitment.Mul(Options.Beta));
        }

        var quantized = z.Add(nearest.sub(z).detach());
        return new Quantization(
            quantized.MoveToOuterDisposeScope(), loss.MoveToOuterDisposeScope(), indices.MoveToOuterDisposeScope());
    }

    /// <summary>Returns the codebook vectors of given indices.</summary>
    /// <param name="indices">
    /// [B, ...] int64 in 0..K-1. On the CPU an index out of range throws; on other devices the behavior is undefined.
    /// </param>
    /// <returns>[B, D, ...], with gradients to the codebook. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// The indices are not int64, are out of range, or are on another device than the codebook.
    /// </exception>
    public Tensor Lookup(Tensor indices)
    {
        ArgumentNullException.ThrowIfNull(indices);
        if (indices.dim() < 1)
            throw new ArgumentException($"{nameof(indices)} must have shape [B, ...], got [].", nameof(indices));
        using var scope = NewDisposeScope();
        var flat = indices.reshape(-1);
        return _embedding.call(flat).view(indices.shape[0], -1, Options.Width).transpose(1, 2)
            .reshape([indices.shape[0], Options.Width, .. indices.shape[1..]]).MoveToOuterDisposeScope();
    }

    private static Tensor Counts(Tensor indices, int codes)
    {
        ArgumentNullException.ThrowIfNull(indices);
        Guard.Positive(codes);
        return OneHot(indices.reshape(-1), codes, ScalarType.Float64).sum(0L);
    }

    private static Tensor OneHot(Tensor places, int codes, ScalarType dtype)
        => places.unsqueeze(1).eq(Scalars.Arange(codes, ScalarType.Int64, places.device)).to(dtype);

    /// <summary>
    /// Returns the index of the nearest vector for each row: argmin |z - e|^2 = argmax (2 z e - |e|^2), computed in at least float32.
    /// </summary>
    private Tensor Nearest(Tensor rows)
    {
        using var gradientsOff = no_grad();
        var dtype = rows.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        var codes = Codebook.detach().to(dtype);
        return rows.to(dtype).matmul(codes.t()).Mul(2.0).sub(codes.Square().sum(1L)).argmax(1L);
    }

    private void Follow(Tensor rows, Tensor places, double decay)
    {
        using var gradientsOff = no_grad();
        var (sizes, sums) = (get_buffer(SizesName)!, get_buffer(SumsName)!);
        var chosen = OneHot(places, Options.Codes, rows.dtype);
        var sound = rows.MaskedFill(rows.isfinite().logical_not(), 0.0);
        sizes.Mul_(decay).Add_(chosen.sum(0L).Mul(1.0 - decay));
        sums.Mul_(decay).Add_(chosen.t().matmul(sound).Mul(1.0 - decay));

        // Laplace smoothing, so that the sizes of unused codes are not zero.
        var total = sizes.sum();
        var smoothed = sizes.Add(Smoothing).div(total.Add(Options.Codes * Smoothing)).mul(total);
        Codebook.copy_(sums.div(smoothed.unsqueeze(1)));
    }
}

/// <summary>The options of a <see cref="VectorQuantizer"/>.</summary>
internal sealed record VectorQuantizerOptions
{
    /// <summary>K, the number of vectors in the codebook. The default is 256.</summary>
    public int Codes { get; init; } = 256;

    /// <summary>D, the width of each vector.</summary>
    public required int Width { get; init; }

    /// <summary>beta, a weight in the loss (van den Oord et al. 2017, eq. 3); see <see cref="LegacyBeta"/>. The default is 0.25.</summary>
    public double Beta { get; init; } = 0.25;

    /// <summary>
    /// <see langword="true"/> if beta is the weight of the codebook term, as in the released code of Esser et al. 2021 and in diffusers;
    /// <see langword="false"/> if it is the weight of the commitment term, as in the paper. The default is <see langword="true"/>.
    /// </summary>
    public bool LegacyBeta { get; init; } = true;

    /// <summary>
    /// The decay, such as 0.99, of a codebook that is an exponential moving average of the latents assigned to each vector. The average is
    /// updated in training mode only. The default is <see langword="null"/>: the codebook is learned by gradient descent.
    /// </summary>
    /// <remarks>
    /// Source: van den Oord et al. 2017, appendix A.1. With an average, the loss is beta times the commitment term. The codebook is updated
    /// in the forward pass, and therefore also in a step that a trainer skips. Values that are not finite are replaced by 0 in the average.
    /// </remarks>
    public double? AverageDecay { get; init; }
}

/// <summary>The output of a <see cref="VectorQuantizer"/>. The object owns its tensors.</summary>
public sealed class Quantization : IDisposable
{
    internal Quantization(Tensor quantized, Tensor loss, Tensor indices)
        => (Quantized, Loss, Indices) = (quantized, loss, indices);

    /// <summary>
    /// [B, D, ...] the nearest vectors of the codebook. The gradient is passed to the latents unchanged (straight-through).
    /// </summary>
    public Tensor Quantized { get; }

    /// <summary>
    /// [] the weighted sum of the codebook and commitment terms, with gradients to the codebook and to the latents; with
    /// <see cref="VectorQuantizerOptions.AverageDecay"/>, the commitment term only, with gradients to the latents.
    /// </summary>
    public Tensor Loss { get; }

    /// <summary>[B, ...] int64 the indices of the vectors in the codebook.</summary>
    public Tensor Indices { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Quantized.Dispose();
        Loss.Dispose();
        Indices.Dispose();
    }
}
