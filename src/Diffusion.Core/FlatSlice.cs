namespace Diffusion.Core;

/// <summary>Where one parameter lies in the flat buffers.</summary>
/// <param name="Name">Its name in the module's state.</param>
/// <param name="Offset">Its first element.</param>
/// <param name="Count">Its number of elements.</param>
/// <param name="Shape">Its sizes.</param>
internal sealed record FlatSlice(string Name, long Offset, long Count, long[] Shape);
