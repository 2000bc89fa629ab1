using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Self-attention over the pixels of an image, with the input added back.</summary>
/// <remarks>
/// Source: Vaswani et al. 2017, eq. 1; in a U-Net: Ho et al. 2020, appendix B. State: <c>group_norm</c>, <c>to_q</c>, <c>to_k</c>,
/// <c>to_v</c>, <c>to_out.0</c>.
/// </remarks>
public sealed class SelfAttention2d : nn.Module<Tensor, Tensor>
{
    private readonly int _channels;
    private readonly int _headWidth;
    private readonly GroupNorm? _norm;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;

    /// <summary>Attention of given sizes.</summary>
    /// <param name="channels">C.</param>
    /// <param name="headWidth">Channels of one head; divides C. Null for a single head.</param>
    /// <param name="groups">Groups of the norm before it, dividing C, or null for no norm.</param>
    /// <param name="normEpsilon">The epsilon of that norm.</param>
    /// <exception cref="ArgumentException">A size is not positive, or does not divide the channels.</exception>
    public SelfAttention2d(int channels, int? headWidth, int? groups, double normEpsilon = 1e-5)
        : base(nameof(SelfAttention2d))
    {
        _channels = Guard.Positive(channels);
        _headWidth = Guard.Positive(headWidth ?? channels);
        if (channels % _headWidth != 0)
            throw new ArgumentException($"The head width must divide the {channels} channels, got {headWidth}.", nameof(headWidth));
        if (groups is { } count)
        {
            if (count < 1 || channels % count != 0)
                throw new ArgumentException($"The groups must divide the {channels} channels, got {count}.", nameof(groups));
            _norm = Layers.GroupNorm(count, channels, normEpsilon);
            register_module("group_norm", _norm);
        }

        _query = nn.Linear(channels, channels);
        _key = nn.Linear(channels, channels);
        _value = nn.Linear(channels, channels);
        _output = nn.Linear(channels, channels);
        register_module("to_q", _query);
        register_module("to_k", _key);
        register_module("to_v", _value);
        register_module("to_out", new ModuleList<Linear>(_output));
    }

    /// <summary>The image with every pixel informed by all others.</summary>
    /// <param name="input">[B, C, H, W].</param>
    /// <returns>[B, C, H, W]; the caller's.</returns>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1, _channels, -1, -1]);
        var shape = input.shape;
        using var scope = NewDisposeScope();
        var normed = _norm is null ? input : _norm.call(input);
        var pixels = normed.flatten(2).transpose(1, 2);
        var attended = nn.functional.scaled_dot_product_attention(
            Heads(_query.call(pixels)), Heads(_key.call(pixels)), Heads(_value.call(pixels)));
        var joined = attended.transpose(1, 2).reshape(shape[0], -1, _channels);
        var image = _output.call(joined).transpose(1, 2).reshape(shape);
        return image.add(input).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }

    /// <summary>[B, HW, C] to [B, heads, HW, head width].</summary>
    private Tensor Heads(Tensor projected)
        => projected.view(projected.shape[0], projected.shape[1], _channels / _headWidth, _headWidth).transpose(1, 2);
}
