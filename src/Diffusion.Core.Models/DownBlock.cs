using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>One level of a U-Net on the way down. State: <c>resnets</c>, <c>attentions</c>, <c>downsamplers</c>.</summary>
internal sealed class DownBlock : nn.Module
{
    private readonly ModuleList<ResidualBlock> _residuals = new();
    private readonly ModuleList<SelfAttention2d> _attentions = new();
    private readonly Downsample? _downsample;
    private readonly ResidualBlock? _residualDownsample;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public DownBlock(UNetParts parts, int level)
        : base(nameof(DownBlock))
    {
        var width = parts.Widths[level];
        for (var layer = 0; layer < parts.Options.LayersPerBlock; layer++)
        {
            _residuals.Add(parts.Residual(layer == 0 ? parts.Widths[Math.Max(level - 1, 0)] : width, width));
            if (parts.Attends(level))
                _attentions.Add(parts.Attention(width));
        }

        register_module("resnets", _residuals);
        if (_attentions.Count > 0)
            register_module("attentions", _attentions);
        if (level == parts.LastLevel)
            return;
        if (parts.Options.ResidualResampling)
            register_module("downsamplers", new ModuleList<ResidualBlock>(_residualDownsample = parts.Residual(width, width)));
        else
            register_module("downsamplers", new ModuleList<Downsample>(_downsample = new Downsample(width, parts.Options.DownsamplePadding)));
    }

    /// <summary>The image after this level.</summary>
    /// <param name="x">[B, C, H, W]; belongs to <paramref name="skips"/>.</param>
    /// <param name="embedding">[B, E].</param>
    /// <param name="skips">Takes every image that the way up will read, the result among them.</param>
    public Tensor Forward(Tensor x, Tensor embedding, Stack<Tensor> skips)
    {
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            x = _residuals[layer].call(x, embedding);
            if (_attentions.Count > 0)
            {
                using var before = x;
                x = _attentions[layer].call(before);
            }

            skips.Push(x);
        }

        if (_downsample is not null)
            skips.Push(x = _downsample.call(x));
        else if (_residualDownsample is not null)
            skips.Push(x = _residualDownsample.forward(x, embedding, Resample.Halve));
        return x;
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
