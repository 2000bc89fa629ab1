using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The outputs of a level that skip connections pass to the up path.</summary>
internal enum UNetSkips
{
    /// <summary>No output, as for the middle block.</summary>
    None,

    /// <summary>The output of the last layer.</summary>
    Last,

    /// <summary>The output of every layer, and the downsampled image.</summary>
    Each,
}

/// <summary>
/// The parts from which a block is constructed: residual blocks, the layers that follow them, and a change of resolution. The parts
/// depend on the family of networks; <see cref="EncoderBlock"/> and <see cref="DecoderBlock"/> call them in the same way.
/// </summary>
internal sealed class UNetBlockParts(UNetPlace place)
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer?> _attentions = [];
    private readonly List<(string Name, nn.Module Module)> _modules = [];

    public UNetPlace Place => place;

    public UNetSkips Skips { get; set; } = UNetSkips.Each;

    /// <summary>The residual blocks, each with the layer that follows it, or null.</summary>
    public IEnumerable<(IUNetLayer Residual, IUNetLayer? Attention)> Layers => _residuals.Zip(_attentions);

    /// <summary>The modules and their names in the state dict, in the order of registration.</summary>
    public IReadOnlyList<(string Name, nn.Module Module)> Modules => _modules;

    /// <summary>
    /// Maps the output of the last layer to the output of the block, a new tensor. If it is null, the block returns the output of the
    /// last layer.
    /// </summary>
    public Func<Tensor, UNetContext, Tensor>? Resample { get; set; }

    /// <summary>Adds a residual block, and constructs and adds the layer that follows it, if any.</summary>
    public void Add(IUNetLayer residual, IUNetLayerOptions? attention = null)
    {
        _residuals.Add(residual);
        _attentions.Add(attention?.Build(place));
    }

    public void Register(string name, nn.Module module) => _modules.Add((name, module));

    /// <summary>Registers the layers. The order of registration determines the order of the parameters.</summary>
    public void RegisterLayers(bool attentionsFirst = false)
    {
        (string Name, IEnumerable<IUNetLayer> Layers)[] lists = [("resnets", _residuals), ("attentions", _attentions.OfType<IUNetLayer>())];
        foreach (var (name, layers) in attentionsFirst ? lists.Reverse() : lists)
        {
            if (layers.Any())
                Register(name, new ModuleList<nn.Module>([.. layers.Select(AsModule)]));
        }
    }

    /// <summary>Sets a layer that changes the resolution, and registers it in a list with the given name.</summary>
    public void ResampleBy(string name, IUNetLayer layer)
    {
        Register(name, new ModuleList<nn.Module>(AsModule(layer)));
        Resample = (x, context) => context.Call(layer, x);
    }

    private static nn.Module AsModule(IUNetLayer layer) => layer as nn.Module
        ?? throw new ArgumentException($"A layer of a U-Net must be an nn.Module, got {layer.GetType().Name}.", nameof(layer));
}

/// <summary>A block that consists of residual blocks, each optionally followed by another layer, and a change of resolution.</summary>
internal abstract class LayeredBlock : UNetBlock
{
    protected LayeredBlock(string name, UNetBlockParts parts)
        : base(name)
    {
        (Layers, Skips, Resample) = ([.. parts.Layers], parts.Skips, parts.Resample);
        foreach (var (key, module) in parts.Modules)
            register_module(key, module);
    }

    protected IReadOnlyList<(IUNetLayer Residual, IUNetLayer? Attention)> Layers { get; }

    protected UNetSkips Skips { get; }

    protected Func<Tensor, UNetContext, Tensor>? Resample { get; }

    /// <summary>Calls a residual block and the layer that follows it.</summary>
    protected static Tensor Call(UNetContext context, Tensor x, (IUNetLayer Residual, IUNetLayer? Attention) layer)
    {
        var hidden = context.Call(layer.Residual, x);
        if (layer.Attention is null)
            return hidden;
        using var before = hidden;
        return context.Call(layer.Attention, before);
    }
}

/// <summary>A level on the down path, or the middle block: layers in sequence.</summary>
internal sealed class EncoderBlock(UNetBlockParts parts) : LayeredBlock(nameof(EncoderBlock), parts)
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var output = x;
        foreach (var layer in Layers)
        {
            var input = output;
            output = Call(context, input, layer);
            if (Skips == UNetSkips.Each)
                context.Skips.Push(output);
            else if (!ReferenceEquals(input, x))
                input.Dispose();
        }

        if (Skips == UNetSkips.Last)
            context.Skips.Push(output);
        if (Resample is null)
            return output;
        output = Resample(output, context);
        if (Skips == UNetSkips.Each)
            context.Skips.Push(output);
        return output;
    }
}

/// <summary>A level on the up path: layers in sequence, with the images of skip connections concatenated to their inputs.</summary>
internal sealed class DecoderBlock(UNetBlockParts parts) : LayeredBlock(nameof(DecoderBlock), parts)
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var hidden = x;
        for (var k = 0; k < Layers.Count; k++)
        {
            var joins = k == 0 || Skips == UNetSkips.Each;
            using var input = joins ? Join(hidden, context) : hidden;
            if (joins && k > 0)
                hidden.Dispose();
            hidden = Call(context, input, Layers[k]);
        }

        if (Resample is null)
            return hidden;
        using var output = hidden;
        return Resample(output, context);
    }

    /// <summary>Concatenates an image with that of the next skip connection, and disposes the latter.</summary>
    private static Tensor Join(Tensor x, UNetContext context)
    {
        using var skip = context.Skips.Pop();
        return cat([x, skip], 1);
    }
}
