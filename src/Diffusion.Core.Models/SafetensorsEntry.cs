using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What the header of a safetensors file says about one tensor.</summary>
/// <param name="Name">The name of the tensor, unique in its file.</param>
/// <param name="Type">The type of its elements in the file.</param>
/// <param name="Shape">Its sizes; empty for a scalar.</param>
/// <param name="Position">Where its first byte lies, in bytes from the start of the file.</param>
/// <param name="ByteCount">Its size in bytes.</param>
public sealed record SafetensorsEntry(string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long Position, long ByteCount)
{
    /// <summary>The type that it is read as.</summary>
    public ScalarType Dtype => Type.ReadAs;
}
