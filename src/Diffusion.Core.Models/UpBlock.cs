using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>One level of a U-Net on the way up. State: <c>resnets</c>, <c>attentions</c>, <c>upsamplers</c>.</summary>
internal sealed class UpBlock : nn.Module
{
    private readonly ModuleList<ResidualBlock> _residuals = new();
    private readonly ModuleList<SelfAttention2d> _attentions = new();
    private readonly Upsample? _upsample;
    private readonly ResidualBlock? _residualUpsample;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public UpBlock(UNetParts parts, int level)
        : base(nameof(UpBlock))
    {
        var width = parts.Widths[level];
        var below = parts.Widths[Math.Min(level + 1, parts.LastLevel)];
        var above = parts.Widths[Math.Max(level - 1, 0)];
        var layers = parts.Options.LayersPerBlock;
        for (var layer = 0; layer <= layers; layer++)
        {
            var skipped = layer == layers ? above : width;
            _residuals.Add(parts.Residual((layer == 0 ? below : width) + skipped, width));
            if (parts.Attends(level))
                _attentions.Add(parts.Attention(width));
        }

        register_module("resnets", _residuals);
        if (_attentions.Count > 0)
            register_module("attentions", _attentions);
        if (level == 0)
            return;
        if (parts.Options.ResidualResampling)
            register_module("upsamplers", new ModuleList<ResidualBlock>(_residualUpsample = parts.Residual(width, width)));
        else
            register_module("upsamplers", new ModuleList<Upsample>(_upsample = new Upsample(width)));
    }

    /// <summary>The image after this level.</summary>
    /// <param name="x">[B, C, H, W]; disposed here.</param>
    /// <param name="embedding">[B, E].</param>
    /// <param name="skips">Gives the images of the way down; those used are disposed. The next one tells the size to rise to.</param>
    public Tensor Forward(Tensor x, Tensor embedding, Stack<Tensor> skips)
    {
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            using var skip = skips.Pop();
            using var lower = x;
            using var joined = cat([lower, skip], 1);
            x = _residuals[layer].call(joined, embedding);
            if (_attentions.Count > 0)
            {
                using var before = x;
                x = _attentions[layer].call(before);
            }
        }

        if (_upsample is null && _residualUpsample is null)
            return x;
        using var small = x;
        var size = skips.Peek().shape;
        return _upsample is not null
            ? _upsample.forward(small, size[2], size[3])
            : _residualUpsample!.forward(small, embedding, image => Resample.Nearest(image, size[2], size[3]));
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
