namespace Diffusion.Core.Models;

/// <summary>What was done to the tensors of a file on their way into a network, beside copying.</summary>
/// <param name="Converted">Those of another type, as in <c>conv_in.weight: BF16 to Float32</c>.</param>
/// <param name="Renamed">Those under another name, as in <c>attn.query.weight to attn.to_q.weight</c>.</param>
/// <param name="Ignored">Those that were left out, by their names in the file.</param>
public sealed record WeightReport(IReadOnlyList<string> Converted, IReadOnlyList<string> Renamed, IReadOnlyList<string> Ignored);
