using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Modules under a common name, for the names of transformers.</summary>
internal sealed class ClipTextPart : nn.Module
{
    /// <summary>Registers parts under their names.</summary>
    public ClipTextPart(params ReadOnlySpan<(string Name, nn.Module Module)> parts)
        : base(nameof(ClipTextPart))
    {
        foreach (var (name, module) in parts)
            register_module(name, module);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
