using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The lowest resolution of a U-Net: residual block, self-attention, residual block. State: <c>resnets</c>, <c>attentions</c>.</summary>
internal sealed class MiddleBlock : nn.Module
{
    private readonly ResidualBlock _first;
    private readonly SelfAttention2d? _attention;
    private readonly ResidualBlock _second;

    /// <summary>The middle of a network.</summary>
    public MiddleBlock(UNetParts parts)
        : base(nameof(MiddleBlock))
    {
        var width = parts.Widths[^1];
        _first = parts.Residual(width, width);
        _second = parts.Residual(width, width);
        if (parts.Options.MiddleAttention)
        {
            _attention = parts.Attention(width, parts.Options.MiddleAttentionNorm);
            register_module("attentions", new ModuleList<SelfAttention2d>(_attention));
        }

        register_module("resnets", new ModuleList<ResidualBlock>(_first, _second));
    }

    /// <summary>The image after the middle.</summary>
    /// <param name="x">[B, C, H, W].</param>
    /// <param name="embedding">[B, E].</param>
    public Tensor Forward(Tensor x, Tensor embedding)
    {
        using var first = _first.call(x, embedding);
        if (_attention is null)
            return _second.call(first, embedding);
        using var attended = _attention.call(first);
        return _second.call(attended, embedding);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
