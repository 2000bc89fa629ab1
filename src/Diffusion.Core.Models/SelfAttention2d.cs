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
    private readonly GroupNorm? _norm;
    private readonly MultiHeadAttention _attention;

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
        var width = Guard.Positive(headWidth ?? channels, nameof(headWidth));
        if (channels % width != 0)
            throw new ArgumentException($"The head width must divide the {channels} channels, got {headWidth}.", nameof(headWidth));
        if (groups is { } count)
        {
            if (count < 1 || channels % count != 0)
                throw new ArgumentException($"The groups must divide the {channels} channels, got {count}.", nameof(groups));
            _norm = Layers.GroupNorm(count, channels, normEpsilon);
            register_module("group_norm", _norm);
        }

        _attention = new(new MultiHeadAttentionOptions { Width = channels, Heads = channels / width, HeadWidth = width });
        foreach (var (name, part) in _attention.named_children())
            register_module(name, part);
    }

    /// <summary>The image with every pixel informed by all others.</summary>
    /// <param name="input">[B, C, H, W].</param>
    /// <returns>[B, C, H, W]; the caller's.</returns>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1, _channels, -1, -1]);
        using var scope = NewDisposeScope();
        var normed = _norm is null ? input : _norm.call(input);
        var pixels = normed.flatten(2).transpose(1, 2);
        var image = _attention.call(pixels, null, null).transpose(1, 2).reshape(input.shape);
        return image.add(input).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
