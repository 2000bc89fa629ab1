using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The embeddings of timestep, label and vector, each of the width of the tokens. Label and vector are optional.</summary>
/// <remarks>
/// Source: Peebles and Xie 2023, section 3.2. State: <c>timestep_embedder</c>, <c>class_embedder.embedding_table</c>,
/// <c>vector_embedder</c>.
/// </remarks>
internal sealed class TransformerEmbedding : NamedModule<Tensor, Tensor?, Tensor?, Tensor>
{
    private const int Frequencies = 256;

    private readonly SinusoidalEmbedding _sinusoids;
    private readonly TimeEmbedding? _time;
    private readonly ClassTable? _classes;
    private readonly TimeEmbedding? _vector;

    /// <summary>Creates an embedding for a network.</summary>
    /// <param name="options">Valid options.</param>
    /// <param name="width">The width of each vector.</param>
    /// <param name="timeNetwork">
    /// Whether a two-layer network is applied to the sinusoidal embedding of t; otherwise, the sinusoidal embedding is used directly, which
    /// requires an even width. The default is <see langword="true"/>.
    /// </param>
    public TransformerEmbedding(TransformerOptions options, int width, bool timeNetwork = true)
        : base(nameof(TransformerEmbedding))
    {
        // The lowest of the 128 frequencies is exactly 1/10000 in diffusers' DiT, and slightly higher in the code of the DiT paper.
        _sinusoids = timeNetwork ? new(Frequencies, frequencyShift: 1) : new(width);
        register_module("time_proj", _sinusoids);
        if (timeNetwork)
            register_module("timestep_embedder", _time = new TimeEmbedding(Frequencies, width));
        if (options.Classes is not null)
            register_module("class_embedder", _classes = new ClassTable(options.Labels, width));
        if (options.VectorWidth is { } vector)
            register_module("vector_embedder", _vector = new TimeEmbedding(vector, width));
        InitialWeights.Normal(this);
        if (_classes is not null)
            nn.init.normal_(_classes.Weight, 0, 0.02);
    }

    /// <summary>Returns the number of vectors that <see cref="Parts"/> returns.</summary>
    public static int Count(TransformerOptions options) => 1 + (options.Classes is null ? 0 : 1) + (options.VectorWidth is null ? 0 : 1);

    /// <summary>Returns the number of parameters of an embedding.</summary>
    public static long CountParameters(TransformerOptions options, long width)
        => Layers(Frequencies, width) + (options.Labels * width) + (options.VectorWidth is { } vector ? Layers(vector, width) : 0);

    /// <summary>Returns the sum of the embeddings, [B, width]. The caller must dispose the tensor.</summary>
    /// <param name="t">[B] timesteps.</param>
    /// <param name="labels">[B] int64 labels; required if the network has classes, otherwise ignored.</param>
    /// <param name="vector">[B, vector width]; required if the network has a vector width, otherwise ignored.</param>
    public override Tensor forward(Tensor t, Tensor? labels, Tensor? vector)
    {
        using var scope = NewDisposeScope();
        var parts = Parts(t, labels, vector);
        return parts.Skip(1).Aggregate(parts[0], (sum, part) => sum.Add(part)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Returns the embeddings of timestep and, if the network has them, of label and vector, each [B, width]. The caller must dispose the
    /// tensors.
    /// </summary>
    /// <param name="t">[B] timesteps.</param>
    /// <param name="labels">[B] int64 labels; required if the network has classes, otherwise ignored.</param>
    /// <param name="vector">[B, vector width]; required if the network has a vector width, otherwise ignored.</param>
    /// <param name="like">
    /// A tensor with the type and device of the results. It is required if no network is applied to the sinusoidal embedding of t.
    /// </param>
    public IReadOnlyList<Tensor> Parts(Tensor t, Tensor? labels, Tensor? vector, Tensor? like = null)
    {
        var weight = like ?? _time!.Weight;
        using var sinusoids = _sinusoids.call(t);
        var time = sinusoids.to(weight.dtype, weight.device);
        var parts = new List<Tensor>(3) { time };
        if (_time is not null)
        {
            parts[0] = _time.call(time);
            time.Dispose();
        }

        if (_classes is not null)
            parts.Add(_classes.call(labels!));
        if (_vector is not null)
            parts.Add(_vector.call(vector!));
        return parts;
    }

    private static long Layers(long inputs, long width) => (inputs * width) + (width * width) + (2 * width);

    /// <summary>A table of label embeddings as the submodule <c>embedding_table</c>, as in diffusers.</summary>
    private sealed class ClassTable : NamedModule<Tensor, Tensor>
    {
        private readonly LabelEmbedding _table;

        public ClassTable(int labels, int width)
            : base(nameof(ClassTable))
            => register_module("embedding_table", _table = new LabelEmbedding(labels, width));

        public Tensor Weight => _table.get_parameter("weight")!;

        public override Tensor forward(Tensor input) => _table.call(input);
    }
}
