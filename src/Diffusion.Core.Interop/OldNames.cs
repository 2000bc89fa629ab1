using System.Text.RegularExpressions;

namespace Diffusion.Core.Interop;

/// <summary>The names that tensors had in older versions of diffusers.</summary>
public static partial class OldNames
{
    /// <summary>
    /// Of an attention block: <c>query</c>, <c>key</c>, <c>value</c> and <c>proj_attn</c> are <c>to_q</c>, <c>to_k</c>, <c>to_v</c> and
    /// <c>to_out.0</c> since version 0.15. Other names stay as they are.
    /// </summary>
    public static string Attention(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return OldAttention().Replace(name, match => match.Value switch
        {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            _ => "to_out.0",
        });
    }

    [GeneratedRegex(@"(?<=(?:^|\.)attentions\.\d+\.)(?:query|key|value|proj_attn)(?=\.(?:weight|bias)$)")]
    private static partial Regex OldAttention();
}
