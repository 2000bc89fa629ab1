using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Embeds a sequence of tokens as one vector: layer normalization, attention of the mean token to all tokens and itself, a linear
/// layer, and another layer normalization.
/// </summary>
/// <remarks>
/// Source: the attention pooling of Radford et al. 2021 (CLIP), section 2.4, with a learned position embedding of the mean token only.
/// State: <c>norm1</c>, <c>pool.positional_embedding</c>, <c>pool.{k,q,v}_proj</c>, <c>proj</c>, <c>norm2</c>.
/// </remarks>
internal sealed class SequenceEmbedding : NamedModule<Tensor, Tensor>
{
    private readonly int _inputs;
    private readonly LayerNormalization _norm1;
    private readonly Pool _pool;
    private readonly Linear _projection;
    private readonly LayerNormalization _norm2;

    /// <summary>Creates an embedding of given widths.</summary>
    public SequenceEmbedding(int inputs, int heads, int outputs)
        : base(nameof(SequenceEmbedding))
    {
        _inputs = inputs;
        register_module("norm1", _norm1 = new LayerNormalization(inputs));
        register_module("pool", _pool = new Pool(inputs, heads));
        register_module("proj", _projection = Layers.Linear(inputs, outputs));
        register_module("norm2", _norm2 = new LayerNormalization(outputs));
    }

    /// <summary>Maps [B, L, inputs] to [B, outputs].</summary>
    public override Tensor forward(Tensor sequence)
    {
        Guard.Shape(sequence, [-1, -1, _inputs]);
        using var scope = NewDisposeScope();
        return _norm2.call(_projection.call(_pool.call(_norm1.call(sequence)))).MoveToOuterDisposeScope();
    }

    private sealed class Pool : NamedModule<Tensor, Tensor>
    {
        private const string PositionName = "positional_embedding";

        private readonly int _heads;
        private readonly Linear _key;
        private readonly Linear _query;
        private readonly Linear _value;

        public Pool(int width, int heads)
            : base(nameof(Pool))
        {
            if (heads < 1 || width % heads != 0)
                throw new ArgumentException(
                    Invariant($"The heads must divide the width {width} of the tokens, got {heads}."), nameof(heads));
            _heads = heads;
            ParameterBudget.Spend(width);
            using var position = randn([1, width], dtype: ScalarType.Float32);
            register_parameter(PositionName, (Parameter)nn.Parameter(position.Div(Math.Sqrt(width))).DetachFromDisposeScope());
            register_module("k_proj", _key = Layers.Linear(width, width));
            register_module("q_proj", _query = Layers.Linear(width, width));
            register_module("v_proj", _value = Layers.Linear(width, width));
        }

        public override Tensor forward(Tensor tokens)
        {
            using var scope = NewDisposeScope();
            var mean = tokens.mean([1L], keepdim: true).Add(get_parameter(PositionName)!);
            var all = cat([mean, tokens], 1);
            return Layers.Attend(_query.call(mean), _key.call(all), _value.call(all), _heads).squeeze(1).MoveToOuterDisposeScope();
        }
    }
}
