using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A block of a <see cref="UNet"/>: a level on the way down, the middle, or a level on the way up. Parts are registered by name in the
/// constructor, and layers are called through <see cref="UNetContext.Call"/>.
/// </summary>
/// <remarks>
/// What crosses over, in the order in which it is pushed: the first convolution's image; of each level on the way down, one image for each
/// of its layers and then the one that was halved. A level on the way up pops one image for each of its layers and one more, which is of
/// the level above. Custom blocks may use another order, as long as the way up finds what it pops.
/// </remarks>
/// <param name="name">The name of the module.</param>
public abstract class UNetBlock(string name) : NamedModule(name)
{
    /// <summary>The image after this block.</summary>
    /// <param name="x">[B, C, ...]; not disposed here.</param>
    /// <param name="context">
    /// The condition of the network, and the images of skip connections. A block on the way down pushes every image that one on the way up
    /// will
    /// join to its own, its result among them where that is so; one on the way up pops them, and disposes what it popped.
    /// </param>
    /// <returns>[B, C', ...]. The caller must dispose the returned tensor, unless it was pushed: then the context does.</returns>
    public abstract Tensor Forward(Tensor x, UNetContext context);

    /// <summary>A layer, and another on its output where there is one.</summary>
    private protected static Tensor Paired(UNetContext context, Tensor x, IUNetLayer first, IUNetLayer? second)
    {
        var hidden = context.Call(first, x);
        if (second is null)
            return hidden;
        using var before = hidden;
        return context.Call(second, before);
    }

    /// <summary>The image joined to that of the next skip connection, which is disposed.</summary>
    private protected static Tensor Join(Tensor x, UNetContext context)
    {
        using var skip = context.Skips.Pop();
        return cat([x, skip], 1);
    }

    /// <summary>Channels of what a residual block on the way up takes.</summary>
    private protected static int JoinedWidth(UNetPlace place, int layer)
        => (layer == 0 ? place.Inputs : place.Width) + (layer == place.Layers ? place.WidthAbove : place.Width);

    /// <summary>Registers layers as a list under a name; nothing where there are none.</summary>
    private protected void Register(string name, IReadOnlyCollection<IUNetLayer> layers)
    {
        if (layers.Count == 0)
            return;
        var list = new TorchSharp.Modules.ModuleList<nn.Module>();
        foreach (var layer in layers)
            list.Add(AsModule(layer));
        register_module(name, list);
    }

    /// <summary>A layer as the module it is.</summary>
    private protected static nn.Module AsModule(IUNetLayer layer) => layer as nn.Module
        ?? throw new ArgumentException($"A layer of a U-Net must be a module, got {layer.GetType().Name}.", nameof(layer));
}

/// <summary>The options of a block of a <see cref="UNet"/>. Implement it for a custom block.</summary>
public interface IUNetBlockOptions
{
    /// <summary>A new block.</summary>
    /// <param name="place">Where in the network it will stand, and how wide it is.</param>
    /// <exception cref="ArgumentException">The options do not fit the place.</exception>
    UNetBlock Build(UNetPlace place);

    /// <summary>The side of an image after the block has halved it on the way down; rounded up by default.</summary>
    /// <param name="side">In pixels.</param>
    long Halve(long side) => (side + 1) / 2;
}

/// <summary>
/// The standard block: residual blocks, each followed by a layer such as attention, and a change of resolution at the end of a level.
/// </summary>
public sealed record UNetBlockOptions : IUNetBlockOptions
{
    /// <summary>What follows each residual block; in the middle, what stands between the two. Null, the default, for nothing.</summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>
    /// The attention layers in the middle, each between two residual blocks. 1 by default; 0 for a single residual block.
    /// </summary>
    public int MiddleLayers { get; init; } = 1;

    /// <summary>How the resolution changes at the end of the level. <see cref="UNetResampling.Convolution"/> by default.</summary>
    public UNetResampling Resampling { get; init; } = UNetResampling.Convolution();

    /// <summary>What the sum in each residual block is divided by. 1 by default.</summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>Activate the embedding in each residual block. On by default.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var here = place with { OutputScale = OutputScale, ActivateEmbedding = ActivateEmbedding };
        return place.Direction switch
        {
            UNetDirection.Down => new DownBlock(this, here),
            UNetDirection.Middle => new MiddleBlock(this, here),
            _ => new UpBlock(this, here),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => Resampling.Halve(side);
}

/// <summary>One level of a U-Net on the way down. State: <c>resnets</c>, <c>attentions</c>, <c>downsamplers</c>.</summary>
internal sealed class DownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly IUNetLayer? _downsample;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public DownBlock(UNetBlockOptions options, UNetPlace place)
        : base(nameof(DownBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
        {
            _residuals.Add(new ResidualBlock(place.Residual(layer == 0 ? place.Inputs : place.Width, place.Width)));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (place.Resamples)
            Register("downsamplers", [_downsample = options.Resampling.Down(place)]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        for (var layer = 0; layer < _residuals.Count; layer++)
            context.Skips.Push(x = Paired(context, x, _residuals[layer], _attentions.ElementAtOrDefault(layer)));
        if (_downsample is not null)
            context.Skips.Push(x = context.Call(_downsample, x));
        return x;
    }
}

/// <summary>One level of a U-Net on the way up. State: <c>resnets</c>, <c>attentions</c>, <c>upsamplers</c>.</summary>
internal sealed class UpBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly IUNetLayer? _upsample;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public UpBlock(UNetBlockOptions options, UNetPlace place)
        : base(nameof(UpBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer <= place.Layers; layer++)
        {
            _residuals.Add(new ResidualBlock(place.Residual(JoinedWidth(place, layer), place.Width)));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (place.Resamples)
            Register("upsamplers", [_upsample = options.Resampling.Up(place)]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var hidden = x;
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            using var joined = Join(hidden, context);
            if (layer > 0)
                hidden.Dispose();
            hidden = Paired(context, joined, _residuals[layer], _attentions.ElementAtOrDefault(layer));
        }

        if (_upsample is null)
            return hidden;
        using var small = hidden;
        return context.Call(_upsample, small);
    }
}
