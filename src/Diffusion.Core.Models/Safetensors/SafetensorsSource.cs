using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A tensor to write to a safetensors file. Its data can be created when it is written, so that a file larger than memory can be written
/// with one tensor at a time in memory.
/// </summary>
public sealed class SafetensorsSource
{
    private const long ChunkElements = 1 << 24;

    private readonly Action<Stream> _write;

    private SafetensorsSource(string name, SafetensorsType type, long[] shape, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        (Name, Type, Shape, _write) = (name, type, shape, write);
        ByteCount = type.Size;
        foreach (var length in shape)
            ByteCount = checked(ByteCount * length);
    }

    /// <summary>The name of the tensor.</summary>
    public string Name { get; }

    /// <summary>The type of the elements in the file.</summary>
    public SafetensorsType Type { get; }

    /// <summary>The shape of the tensor.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>The size of the tensor in the file, in bytes.</summary>
    public long ByteCount { get; }

    /// <summary>Creates a source from an existing tensor.</summary>
    /// <param name="name">The name of the tensor.</param>
    /// <param name="tensor">The tensor, of any shape, device and memory layout. It is neither modified nor disposed.</param>
    /// <param name="dtype">The type in the file, to which the tensor is converted. The default is the type of the tensor.</param>
    /// <exception cref="ArgumentException">The tensor is null, or the format does not support the type.</exception>
    public static SafetensorsSource Of(string name, Tensor tensor, ScalarType? dtype = null)
    {
        if (tensor is null)
            throw new ArgumentException($"Every name must have a tensor, got null for '{name}'.", nameof(tensor));
        var type = TypeOf(name, dtype ?? tensor.dtype);
        return new(name, type, tensor.shape, stream => Write(stream, tensor, type.ReadAs));
    }

    /// <summary>Creates a source from a function that creates the tensor when it is written. The tensor is disposed afterwards.</summary>
    /// <param name="name">The name of the tensor.</param>
    /// <param name="dtype">The type in the file. A tensor of another type is converted.</param>
    /// <param name="shape">The shape of the tensor.</param>
    /// <param name="create">Creates the tensor. It is called each time the tensor is written.</param>
    /// <exception cref="ArgumentException">The format does not support the type.</exception>
    public static SafetensorsSource Of(string name, ScalarType dtype, IReadOnlyList<long> shape, Func<Tensor> create)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(create);
        long[] expected = [.. shape];
        return new(name, TypeOf(name, dtype), expected, stream =>
        {
            using var tensor = create();
            Guard.Shape(tensor, expected, name);
            Write(stream, tensor, dtype);
        });
    }

    /// <summary>Creates a source from a function that writes the bytes of the tensor. All known types are supported.</summary>
    /// <param name="name">The name of the tensor.</param>
    /// <param name="type">The type of the elements in the file.</param>
    /// <param name="shape">The shape of the tensor.</param>
    /// <param name="write">
    /// Writes the bytes of the tensor, little-endian and row-major. Their number must match the type and the shape.
    /// </param>
    /// <exception cref="ArgumentException">The type is not known, or a size is negative.</exception>
    public static SafetensorsSource OfBytes(string name, SafetensorsType type, IReadOnlyList<long> shape, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(write);
        if (!type.IsKnown)
            throw new ArgumentException(Invariant($"'{name}' must be of one of {SafetensorsType.Names}, got {type}."), nameof(type));
        long[] sizes = [.. shape];
        return Array.Exists(sizes, size => size < 0)
            ? throw new ArgumentException(
                Invariant($"The sizes of '{name}' must not be negative, got {string.Join(", ", sizes)}."), nameof(shape))
            : new(name, type, sizes, write);
    }

    /// <summary>Creates a source from a tensor of another file, whose bytes are copied without conversion.</summary>
    /// <param name="file">The file. It must remain open until the tensor is written.</param>
    /// <param name="name">The name of the tensor in both files.</param>
    /// <exception cref="KeyNotFoundException">The file contains no tensor of that name.</exception>
    /// <exception cref="ArgumentException">The type of the tensor is not known.</exception>
    public static SafetensorsSource OfFile(SafetensorsFile file, string name)
    {
        ArgumentNullException.ThrowIfNull(file);
        var entry = file[name];
        return OfBytes(name, entry.Type, entry.Shape, stream =>
        {
            using var bytes = file.OpenBytes(name);
            bytes.CopyTo(stream);
        });
    }

    /// <summary>Writes the data of the tensor.</summary>
    /// <exception cref="InvalidOperationException">The number of bytes written does not match the type and the shape.</exception>
    internal void WriteTo(Stream stream)
    {
        var start = stream.Position;
        _write(stream);
        if (stream.Position - start != ByteCount)
            throw new InvalidOperationException(
                Invariant($"Tensor '{Name}' has {ByteCount} bytes, its writer wrote {stream.Position - start}."));
    }

    private static SafetensorsType TypeOf(string name, ScalarType dtype)
    {
        try
        {
            return SafetensorsType.Of(dtype);
        }
        catch (ArgumentException e)
        {
            throw new ArgumentException($"Tensor '{name}': {e.Message}", nameof(dtype), e);
        }
    }

    private static void Write(Stream stream, Tensor tensor, ScalarType dtype)
    {
        using var detached = tensor.detach();
        using var dense = detached.contiguous();
        using var flat = dense.view(-1);
        for (long start = 0, total = flat.numel(); start < total; start += ChunkElements)
        {
            using var piece = flat.narrow(0, start, Math.Min(ChunkElements, total - start));
            using var host = piece.cpu();
            using var typed = host.to(dtype);
            stream.Write(typed.bytes);
        }
    }
}
