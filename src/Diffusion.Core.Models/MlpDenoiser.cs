using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A small network for vectors, such as points in the plane: residual layers told of time and class.</summary>
/// <remarks>
/// State: <c>linear_in</c>, <c>time_embedding</c>, <c>class_embedding</c>, <c>vector_embedding</c>, <c>layers</c>,
/// <c>linear_out</c>.
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

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public MlpDenoiser(MlpDenoiserOptions options)
        : base(nameof(MlpDenoiser))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _linearIn = nn.Linear(options.Features * (1 + (2 * options.FourierFeatures)), options.Width);
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
        _linearOut = nn.Linear(options.Width, options.Features);
        register_module("layers", _layers);
        register_module("linear_out", _linearOut);
    }

    /// <summary>The architecture.</summary>
    public MlpDenoiserOptions Options { get; }

    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">[B, D] noisy vectors, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// With labels, [B] int64 in 0..classes-1, where the network has classes, and a vector, [B, vector width], where it
    /// takes one.
    /// </param>
    /// <returns>[B, D]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
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
        // All layers are told the same: it is activated once.
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

    /// <summary>[B, D (1 + 2n)]: x, then sin and cos of each frequency.</summary>
    private Tensor WithFourierFeatures(Tensor x)
    {
        if (Options.FourierFeatures == 0)
            return x;
        // In lower precision the frequencies themselves would be off.
        var type = x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        var angles = x.unsqueeze(1).mul(_frequencies.Get(Options.FourierFeatures, x.device, type, Frequencies));
        return cat([x, stack([angles.sin(), angles.cos()], 2).flatten(1).to(x.dtype)], 1);
    }

    /// <summary>[n, 1]: 2^k pi.</summary>
    private static Tensor Frequencies(int count)
    {
        using var values = tensor(Enumerable.Range(0, count).Select(k => Math.PI * Math.Pow(2, k)).ToArray());
        return values.unsqueeze(1);
    }
}
