namespace Diffusion.Core;

/// <summary>Where one parameter lies in the flat buffers of a trainer.</summary>
/// <param name="Name">Its name in the module's state.</param>
/// <param name="Offset">Its first element.</param>
/// <param name="Count">Its number of elements.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="ChannelsLast">Whether its four dimensions lie in the order 0, 2, 3, 1.</param>
public sealed record ParameterSlice(string Name, long Offset, long Count, IReadOnlyList<long> Shape, bool ChannelsLast = false);
