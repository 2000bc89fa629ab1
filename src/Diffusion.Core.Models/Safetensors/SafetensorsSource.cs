using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// One tensor to write, whose data is created when it is written: of a file larger than memory, only one tensor needs to be there at a
/// time.
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

    /// <summary>The type of its elements in the file.</summary>
    public SafetensorsType Type { get; }

    /// <summary>Its sizes.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Its size in the file, in bytes.</summary>
    public long ByteCount { get; }

    /// <summary>A tensor that is there already.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">Of any shape, device and memory layout; not changed, not disposed.</param>
    /// <param name="dtype">The type in the file. The default is the type of the tensor.</param>
    /// <exception cref="ArgumentException">The format does not have the type.</exception>
    public static SafetensorsSource Of(string name, Tensor tensor, ScalarType? dtype = null)
    {
        if (tensor is null)
            throw new ArgumentException($"Every name must have a tensor, got null for '{name}'.", nameof(tensor));
        var type = TypeOf(name, dtype ?? tensor.dtype);
        return new(name, type, tensor.shape, stream => Write(stream, tensor, type.ReadAs));
    }

    /// <summary>A tensor that is created when it is written, and disposed after it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="dtype">The type to write it as; the tensor is converted where it has another.</param>
    /// <param name="shape">The shape that it will have.</param>
    /// <param name="create">Creates it; called once for each file that is written.</param>
    /// <exception cref="ArgumentException">The format does not have the type.</exception>
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

    /// <summary>The bytes of a tensor of any type of the format.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="type">What the bytes are.</param>
    /// <param name="shape">Its sizes.</param>
    /// <param name="write">Writes exactly as many bytes as that takes, little-endian, row-major.</param>
    public static SafetensorsSource OfBytes(string name, SafetensorsType type, IReadOnlyList<long> shape, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(write);
        if (!type.IsKnown)
            throw new ArgumentException($"'{name}' must be of one of {SafetensorsType.Names}, got {type}.", nameof(type));
        long[] sizes = [.. shape];
        return Array.Exists(sizes, size => size < 0)
            ? throw new ArgumentException($"The sizes of '{name}' must not be negative, got {string.Join(", ", sizes)}.", nameof(shape))
            : new(name, type, sizes, write);
    }

    /// <summary>The bytes of a tensor of another file, copied as they are; the file stays open until they are written.</summary>
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

    /// <summary>Writes the data.</summary>
    /// <exception cref="InvalidOperationException">Another number of bytes came than the type and the shape have.</exception>
    internal void WriteTo(Stream stream)
    {
        var start = stream.Position;
        _write(stream);
        if (stream.Position - start != ByteCount)
            throw new InvalidOperationException($"Tensor '{Name}' has {ByteCount} bytes, its writer wrote {stream.Position - start}.");
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
