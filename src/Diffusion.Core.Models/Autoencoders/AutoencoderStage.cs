using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// One level or the middle stage of an image encoder or decoder: residual blocks, attention and a change of resolution. State:
/// <c>resnets</c>, <c>attentions</c>, <c>downsamplers</c>, <c>upsamplers</c>.
/// </summary>
internal sealed class AutoencoderStage : NamedModule<Tensor, Tensor?, Tensor>
{
    /// <summary>The epsilon of every group norm.</summary>
    public const double NormEpsilon = 1e-6;

    private readonly ConvolutionalBody _body;
    private readonly int? _codeChannels;
    private readonly ModuleList<nn.Module> _residuals = new();
    private readonly ModuleList<nn.Module> _attentions = new();
    private readonly List<Func<Tensor, Tensor?, Tensor>> _steps = [];

    private AutoencoderStage(ConvolutionalBody body, int? codeChannels)
        : base(nameof(AutoencoderStage))
        => (_body, _codeChannels) = (body, codeChannels);

    /// <summary>Creates a level of an encoder. All levels except the last halve the resolution at their end.</summary>
    public static AutoencoderStage Encoder(ConvolutionalBody body, int level)
    {
        var stage = new AutoencoderStage(body, null);
        var width = body.Widths[level];
        stage.AddLayers(body.LayersPerBlock, body.Widths[Math.Max(level - 1, 0)], width, body.EncoderAttentionLevels.Contains(level));
        Downsample? downsample = null;
        if (level < body.Widths.Count - 1)
        {
            downsample = new Downsample(width, padding: 0);
            stage._steps.Add((x, _) => downsample.call(x));
        }

        stage.Register();
        if (downsample is not null)
            stage.register_module("downsamplers", new ModuleList<Downsample>(downsample));
        return stage;
    }

    /// <summary>Creates the middle stage, at the lowest resolution.</summary>
    public static AutoencoderStage Middle(ConvolutionalBody body, int? codeChannels)
    {
        var stage = new AutoencoderStage(body, codeChannels);
        var width = body.Widths[^1];
        stage.AddResidual(width, width);
        if (body.MiddleAttention)
            stage.AddAttention(width);
        stage.AddResidual(width, width);
        stage.Register();
        return stage;
    }

    /// <summary>Creates a level of a decoder. All levels except level 0 double the resolution at their end.</summary>
    public static AutoencoderStage Decoder(ConvolutionalBody body, int level, int? codeChannels)
    {
        var stage = new AutoencoderStage(body, codeChannels);
        var width = body.Widths[level];
        var inputs = body.Widths[Math.Min(level + 1, body.Widths.Count - 1)];
        stage.AddLayers(body.LayersPerBlock + 1, inputs, width, body.DecoderAttentionLevels.Contains(level));
        Upsample? upsample = null;
        if (level > 0)
        {
            upsample = new Upsample(width);
            stage._steps.Add((x, _) => upsample.call(x));
        }

        stage.Register();
        if (upsample is not null)
            stage.register_module("upsamplers", new ModuleList<Upsample>(upsample));
        return stage;
    }

    /// <summary>Applies this stage to an image.</summary>
    /// <param name="input">[B, C, H, W].</param>
    /// <param name="code">[B, Z, h, w] the code, if the stage has spatial norms; otherwise <see langword="null"/>.</param>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    public override Tensor forward(Tensor input, Tensor? code)
    {
        var current = input.alias();
        foreach (var step in _steps)
        {
            using var before = current;
            current = step(before, code);
        }

        return current;
    }

    private void AddLayers(int layers, int inputs, int width, bool attends)
    {
        for (var layer = 0; layer < layers; layer++)
        {
            AddResidual(layer == 0 ? inputs : width, width);
            if (attends)
                AddAttention(width);
        }
    }

    private void AddResidual(int inputs, int outputs)
    {
        if (_codeChannels is { } codeChannels)
        {
            var spatial = new SpatialResidualBlock(inputs, outputs, codeChannels, _body.Activation);
            _residuals.Add(spatial);
            _steps.Add((x, code) => spatial.call(x, code!));
            return;
        }

        var residual = new ResidualBlock(new ResidualBlockOptions
        {
            Inputs = inputs,
            Outputs = outputs,
            Groups = _body.Groups,
            NormEpsilon = NormEpsilon,
            Activation = _body.Activation,
        });
        _residuals.Add(residual);
        _steps.Add((x, _) => residual.call(x, null));
    }

    private void AddAttention(int width)
    {
        if (_codeChannels is { } codeChannels)
        {
            var spatial = new SpatialAttention2d(width, codeChannels);
            _attentions.Add(spatial);
            _steps.Add((x, code) => spatial.call(x, code!));
            return;
        }

        var attention = new SelfAttention2d(width, headWidth: null, _body.Groups, NormEpsilon);
        _attentions.Add(attention);
        _steps.Add((x, _) => attention.call(x));
    }

    private void Register()
    {
        register_module("resnets", _residuals);
        if (_attentions.Count > 0)
            register_module("attentions", _attentions);
    }
}
