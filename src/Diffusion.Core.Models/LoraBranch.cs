using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A part of a name: holds the parts below it, so that the layers of an adapter have the names of the layers they change.
/// </summary>
internal sealed class LoraBranch() : nn.Module(nameof(LoraBranch))
{
    private readonly Dictionary<string, LoraBranch> _branches = new(StringComparer.Ordinal);

    /// <summary>Puts a layer under a name of parts and dots, below a module.</summary>
    public static void Place(nn.Module root, Dictionary<string, LoraBranch> branches, string name, nn.Module layer)
    {
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0)
        {
            root.register_module(name, layer);
            return;
        }

        var first = name[..dot];
        if (!branches.TryGetValue(first, out var branch))
        {
            branches.Add(first, branch = new LoraBranch());
            root.register_module(first, branch);
        }

        Place(branch, branch._branches, name[(dot + 1)..], layer);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Parts register themselves.
    }
}
