using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A block of a <see cref="UNet"/>: a level on the way down, the middle, or a level on the way up. Parts are registered by name in the
/// constructor, and layers are called through <see cref="UNetContext.Call"/>.
/// </summary>
/// <remarks>
/// What crosses over, in the order in which it is pushed: the first convolution's image; of each level on the way down, one image for each
/// of its layers and then the one that was halved. A level on the way up pops one image for each layer of its own and one more, which is of
/// the level above. Blocks of one's own may agree on something else, as long as the way up finds what it pops.
/// </remarks>
/// <param name="name">The name of the module.</param>
public abstract class UNetBlock(string name) : nn.Module(name)
{
    /// <summary>The image after this block.</summary>
    /// <param name="x">[B, C, ...]; not disposed here.</param>
    /// <param name="context">
    /// What the network is told, and the images that cross over. A block on the way down pushes every image that one on the way up will
    /// join to its own, its result among them where that is so; one on the way up pops them, and disposes what it popped.
    /// </param>
    /// <returns>[B, C', ...]; the caller's, or, where it was pushed, the context's.</returns>
    public abstract Tensor Forward(Tensor x, UNetContext context);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Blocks register their parts by name in the constructor.
    }

    /// <summary>A layer, and another on its answer where there is one.</summary>
    private protected static Tensor Paired(UNetContext context, Tensor x, IUNetLayer first, IUNetLayer? second)
    {
        var hidden = context.Call(first, x);
        if (second is null)
            return hidden;
        using var before = hidden;
        return context.Call(second, before);
    }

    /// <summary>The image beside the one that crosses over next, which is disposed.</summary>
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
