using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Models;

/// <content>The options as text.</content>
public sealed partial record UNetOptions
{
    /// <summary>
    /// The options as a <see cref="ModelFile"/> has them: names in snake case, strategies by name or as objects with a type.
    /// </summary>
    /// <exception cref="NotSupportedException">A strategy is one of the user's own, which has no name.</exception>
    public JsonObject ToJson() => JsonSerializer.SerializeToNode(this, NetworkJson.Shared.UNetOptions)!.AsObject();
}
