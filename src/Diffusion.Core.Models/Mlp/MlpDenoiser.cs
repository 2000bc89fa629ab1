using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A small network for vectors, such as points in the plane. It consists of residual layers, each of which receives an embedding of
/// the time and the condition.
/// </summary>
/// <remarks>
/// State: <c>linear_in</c>, <c>time_embedding</c>, <c>class_embedding</c>, <c>vector_embedding</c>, <c>layers</c>, <c>linear_out</c>.
/// </remarks>
public sealed class MlpDenoiser : DenoisingNetwork
{
    private readonly Linear _linearIn;
    private readonly SinusoidalEmbedding _sinusoids;
    private readonly TensorCache<int> _frequencies = new();
    private readonly TimeEmbedding _timeEmbedding;
    private readonly LabelEmbedding? _labelEmbedding;
    private readonly TimeEmbedding? _vectorEmbedding;
    private readonly ModuleList<MlpLayer> _layers = new();
    private readonly Linear _linearOut;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public MlpDenoiser(MlpDenoiserOptions options)
        : base(nameof(MlpDenoiser))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _linearIn = Layers.Linear(options.Features * (1L + (2 * options.FourierFeatures)), options.Width);
        _sinusoids = new SinusoidalEmbedding(options.Width);
        _timeEmbedding = new TimeEmbedding(options.Width, options.Width);
        register_module("linear_in", _linearIn);
        register_module("time_proj", _sinusoids);
        register_module("time_embedding", _timeEmbedding);
        if (options.Classes is { } classes)
            register_module("class_embedding", _labelEmbedding = new LabelEmbedding(classes, options.Width));
        if (options.VectorWidth is { } vector)
            register_module("vector_embedding", _vectorEmbedding = new TimeEmbedding(vector, options.Width));
        for (var layer = 0; layer < options.Layers; layer++)
            _layers.Add(new MlpLayer(options.Width));
        _linearOut = Layers.Linear(options.Width, options.Features);
        register_module("layers", _layers);
        register_module("linear_out", _linearOut);
    }

    /// <summary>The architecture.</summary>
    public MlpDenoiserOptions Options { get; }

    /// <summary>Computes the raw output of the network.</summary>
    /// <param name="xt">[B, D] noisy vectors, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point times in steps: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// Must contain labels, [B] int64 in 0..classes-1, if the network has classes, and a vector, [B, vector width], if the network has a
    /// vector width.
    /// </param>
    /// <returns>[B, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// A shape, type, device or label does not match; the message contains the expected and the actual one.
    /// </exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        Guard.Shape(xt, [-1, Options.Features]);
        DenoiserGuard.Data(xt, _linearIn.weight);
        DenoiserGuard.Times(t, xt.shape[0]);
        if (Options.Classes is { } classes)
            DenoiserGuard.Labels(condition?.Labels, classes, xt.shape[0], _linearIn.weight);
        if (Options.VectorWidth is { } width)
            DenoiserGuard.Vector(condition?.Vector, width, xt.shape[0], _linearIn.weight);
        using var scope = NewDisposeScope();
        var embedding = _timeEmbedding.call(_sinusoids.call(t).to(xt.dtype, xt.device));
        if (_labelEmbedding is not null)
            embedding.Add_(_labelEmbedding.call(condition!.Labels!));
        if (_vectorEmbedding is not null)
            embedding.Add_(_vectorEmbedding.call(condition!.Vector!));
        // All layers receive the same embedding, so its activation is computed once.
        var told = nn.functional.silu(embedding);
        var hidden = _linearIn.call(WithFourierFeatures(xt));
        foreach (var layer in _layers)
            hidden = layer.call(hidden, told);
        return _linearOut.call(nn.functional.silu(hidden)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _frequencies.Dispose();
        base.Dispose(disposing);
    }

    internal override string? UnusedPart(Condition condition)
        => DenoiserGuard.UnusedPart(condition, labels: Options.Classes is not null, vector: Options.VectorWidth is not null);

    /// <summary>[B, D (1 + 2n)]: x, then sin and cos of each frequency.</summary>
    private Tensor WithFourierFeatures(Tensor x)
    {
        if (Options.FourierFeatures == 0)
            return x;
        // In half precision, the angles would be inaccurate.
        var type = x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        var angles = x.unsqueeze(1).mul(_frequencies.Get(Options.FourierFeatures, x.device, type, Frequencies));
        return cat([x, stack([angles.sin(), angles.cos()], 2).flatten(1).to(x.dtype)], 1);
    }

    /// <summary>Returns the frequencies, [n, 1]: 2^k pi for k in 0..n-1.</summary>
    private static Tensor Frequencies(int count)
    {
        using var values = tensor(Enumerable.Range(0, count).Select(k => Math.PI * Math.Pow(2, k)).ToArray());
        return values.unsqueeze(1);
    }
}

/// <summary>The architecture of an <see cref="MlpDenoiser"/>.</summary>
public sealed record MlpDenoiserOptions
{
    /// <summary>D, the number of features of x_t. The default is 2.</summary>
    public int Features { get; init; } = 2;

    /// <summary>The width of the hidden layers, an even number. The default is 128.</summary>
    public int Width { get; init; } = 128;

    /// <summary>The number of residual layers. The default is 3.</summary>
    public int Layers { get; init; } = 3;

    /// <summary>
    /// n, the number of frequencies of the Fourier features of x_t: sin and cos of <c>2^k pi x</c> for k in 0..n-1 are concatenated to x,
    /// so that the network can represent detail as fine as 2^-n. The default is 6. With 0, only x is used.
    /// </summary>
    /// <remarks>Source: Tancik et al. 2020; the frequencies are those of Mildenhall et al. 2020, eq. 4.</remarks>
    public int FourierFeatures { get; init; } = 6;

    /// <summary>The number of classes. The default is <see langword="null"/>: the network ignores labels.</summary>
    public int? Classes { get; init; }

    /// <summary>
    /// The width of <see cref="Condition.Vector"/>. The default is <see langword="null"/>: the network ignores the vector.
    /// </summary>
    public int? VectorWidth { get; init; }

    /// <summary>Throws if the options are inconsistent.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    internal void Validate()
    {
        Guard.Positive(Features);
        Guard.Positive(Layers);
        Guard.InRange(FourierFeatures, 0, 32);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        Guard.Positive(VectorWidth ?? 1, nameof(VectorWidth));
        if (Width < 2 || Width % 2 != 0)
            throw new ArgumentException(Invariant($"{nameof(Width)} must be an even number of at least 2, got {Width}."), nameof(Width));
    }
}

/// <summary>
/// A residual layer over vectors: <c>h + B silu(A silu(h) + P e)</c>, where e is the activated embedding of time and condition, the same
/// for all layers. State: <c>linear_1</c>, <c>time_emb_proj</c>, <c>linear_2</c>.
/// </summary>
internal sealed class MlpLayer : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly Linear _first;
    private readonly Linear _projection;
    private readonly Linear _second;

    /// <summary>Creates a layer whose output has the width of its input.</summary>
    public MlpLayer(int width)
        : base(nameof(MlpLayer))
    {
        _first = Layers.Linear(width, width);
        _projection = Layers.Linear(width, width);
        _second = Layers.Linear(width, width);
        register_module("linear_1", _first);
        register_module("time_emb_proj", _projection);
        register_module("linear_2", _second);
    }

    /// <summary>Maps [B, W] and the activated embedding, [B, W], to [B, W].</summary>
    public override Tensor forward(Tensor hidden, Tensor told)
    {
        using var scope = NewDisposeScope();
        var inner = _first.call(nn.functional.silu(hidden)).Add_(_projection.call(told));
        return _second.call(nn.functional.silu(inner)).Add_(hidden).MoveToOuterDisposeScope();
    }
}
