using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Self-attention of one head over the pixels of an image, whose norm reads the code. State: <c>spatial_norm</c>, <c>to_q</c>,
/// <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>.
/// </summary>
internal sealed class SpatialAttention2d : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly SpatialNorm _norm;
    private readonly MultiHeadAttention _attention;

    /// <summary>Attention of given sizes.</summary>
    public SpatialAttention2d(int channels, int codeChannels)
        : base(nameof(SpatialAttention2d))
    {
        _norm = new SpatialNorm(channels, codeChannels);
        _attention = new(new MultiHeadAttentionOptions { Width = channels, Heads = 1, HeadWidth = channels });
        register_module("spatial_norm", _norm);
        foreach (var (name, part) in _attention.named_children())
            register_module(name, part);
    }

    /// <summary>[B, C, H, W] from the same and a code [B, Z, h, w].</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var pixels = Layers.Pixels(_norm.call(x, code));
        return x.Add(Layers.Image(_attention.call(pixels, null, null), x)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
