using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An open safetensors file. The format contains only data, so that reading a file cannot run code. Opening a file reads and validates only
/// its header. The data is memory-mapped, and each tensor is copied from the mapping when it is read, so that reading needs no memory in
/// addition to that of the tensor. Instances can be read from several threads at the same time.
/// </summary>
/// <remarks>
/// Do not modify the file while it is open. If its length has changed, the next read throws an exception; if the file is truncated while a
/// tensor is copied, Unix systems terminate the process. Replacing the file by renaming another file to its name is safe; this library
/// replaces files only in this way.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private const long ChunkElements = 1 << 24;

    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedFile _map;
    private readonly long _fileLength;
    private readonly SafetensorsHeader _header;
    private readonly Dictionary<string, SafetensorsEntry> _byName;

    private SafetensorsFile(string path, SafeFileHandle handle, long fileLength, SafetensorsHeader header)
    {
        (Path, _handle, _fileLength, _header) = (path, handle, fileLength, header);
        _byName = header.Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        Names = [.. header.Entries.Select(entry => entry.Name)];
        _map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
    }

    /// <summary>The path of the file.</summary>
    public string Path { get; }

    /// <summary>The entries of the tensors in the header, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The names of the tensors, in the order of their data.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The metadata strings. The dictionary is empty if the file has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Returns the entry of one tensor in the header.</summary>
    /// <exception cref="KeyNotFoundException">The file contains no tensor of that name.</exception>
    public SafetensorsEntry this[string name] => _byName.TryGetValue(name, out var entry)
        ? entry
        : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {Names.Count}: {string.Join(", ", Names.Take(20))}.");

    /// <summary>Opens a file and validates its header.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="IOException">The path is not that of a regular file, or the file cannot be read.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is damaged. The message contains the path, the name of the tensor, if any, and the expected and actual values.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var handle = DiskFile.OpenHandle(path);
        try
        {
            var fileLength = RandomAccess.GetLength(handle);
            if (fileLength < SafetensorsHeader.PrefixLength)
                throw new InvalidDataException(
                    Invariant($"{path}: a safetensors file has at least {SafetensorsHeader.PrefixLength} bytes, this one has ")
                    + Invariant($"{fileLength}."));
            var prefix = new byte[SafetensorsHeader.PrefixLength];
            Fill(handle, path, prefix, 0);
            var length = SafetensorsHeader.CheckLength(path, BinaryPrimitives.ReadUInt64LittleEndian(prefix), fileLength);
            var json = new byte[length];
            Fill(handle, path, json, SafetensorsHeader.PrefixLength);
            return new SafetensorsFile(path, handle, fileLength, SafetensorsHeader.Parse(path, json, fileLength));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Returns whether the file contains a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Reads one tensor.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="device">The device of the tensor. The default is the CPU.</param>
    /// <returns>
    /// A new tensor of the shape in the file, of the type <see cref="SafetensorsEntry.Dtype"/>. The caller must dispose the returned
    /// tensor.
    /// </returns>
    /// <exception cref="KeyNotFoundException">The file contains no tensor of that name.</exception>
    /// <exception cref="InvalidDataException">
    /// The type of the tensor is not supported, the file has changed since it was opened, an element of type BOOL is neither 0 nor 1, or an
    /// element of type U64 is 2^63 or greater.
    /// </exception>
    public Tensor Read(string name, Device? device = null)
    {
        var entry = this[name];
        RequireKnown(entry);
        var result = empty([.. entry.Shape], dtype: entry.Dtype);
        try
        {
            using var flat = result.view(-1);
            Copy(entry, (start, count) => flat.narrow(0, start, count));
        }
        catch
        {
            result.Dispose();
            throw;
        }

        if (device is null || device.type == DeviceType.CPU)
            return result;
        using (result)
            return result.to(device);
    }

    /// <summary>Reads every tensor.</summary>
    /// <param name="device">The device of the tensors. The default is the CPU.</param>
    /// <returns>The tensors by name. The caller must dispose them.</returns>
    /// <exception cref="InvalidDataException">
    /// <see cref="Read"/> throws it for one of the tensors. The tensors already read are disposed.
    /// </exception>
    public Dictionary<string, Tensor> ReadAll(Device? device = null)
    {
        var result = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        try
        {
            foreach (var name in Names)
                result.Add(name, Read(name, device));
            return result;
        }
        catch
        {
            foreach (var tensor in result.Values)
                tensor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens the bytes of one tensor as a stream, without conversion: little-endian and row-major. Tensors of all types are supported.
    /// </summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <returns>A read-only stream. The caller must dispose it before the file.</returns>
    /// <exception cref="KeyNotFoundException">The file contains no tensor of that name.</exception>
    /// <exception cref="InvalidDataException">The file has changed since it was opened.</exception>
    public Stream OpenBytes(string name)
    {
        var entry = this[name];
        CheckUnchanged();
        return entry.ByteCount == 0 ? Stream.Null : _map.CreateViewStream(entry.Position, entry.ByteCount, MemoryMappedFileAccess.Read);
    }

    /// <summary>Closes the file. Tensors that were read are not disposed.</summary>
    public void Dispose()
    {
        _map.Dispose();
        _handle.Dispose();
    }

    /// <summary>
    /// Throws if <see cref="Read"/> cannot read the tensor. Reads the data only of types whose values can be invalid: BOOL and U64.
    /// </summary>
    /// <exception cref="InvalidDataException">The type is not supported, or an element has an invalid value.</exception>
    internal void Verify(SafetensorsEntry entry)
    {
        RequireKnown(entry);
        if (entry.Dtype != ScalarType.Bool && entry.Type != SafetensorsType.U64)
            return;
        using var piece = empty([Math.Min(ChunkElements, entry.ByteCount / entry.Type.Size)], dtype: entry.Dtype);
        Copy(entry, (_, count) => piece.narrow(0, 0, count));
    }

    private void RequireKnown(SafetensorsEntry entry)
    {
        if (!entry.Type.IsKnown)
            throw new InvalidDataException(
                Invariant($"{Path}: tensor '{entry.Name}' has dtype '{entry.Type}', expected one of {SafetensorsType.Names}; ")
                + "only its bytes can be read.");
    }

    private static void Fill(SafeFileHandle handle, string path, Span<byte> buffer, long position)
    {
        while (!buffer.IsEmpty)
        {
            var count = RandomAccess.Read(handle, buffer, position);
            if (count == 0)
                throw new InvalidDataException(
                    Invariant($"{path}: the file ends at byte {position}, expected {buffer.Length} more bytes; it changed while ")
                    + "being read.");
            buffer = buffer[count..];
            position += count;
        }
    }

    /// <summary>Copies a tensor in parts, because a span of bytes cannot be longer than 2 GiB.</summary>
    private void Copy(SafetensorsEntry entry, Func<long, long, Tensor> target)
    {
        using var stream = OpenBytes(entry.Name);
        for (long start = 0, total = entry.ByteCount / entry.Type.Size; start < total; start += ChunkElements)
        {
            CheckUnchanged();
            using var piece = target(start, Math.Min(ChunkElements, total - start));
            if (SafetensorsElements.Read(stream, entry.Type, piece.bytes) is { } fault)
                throw new InvalidDataException(
                    Invariant($"{Path}: tensor '{entry.Name}' of {entry.Type} {fault.What} at element {start + fault.Index}."));
        }
    }

    private void CheckUnchanged()
    {
        var length = RandomAccess.GetLength(_handle);
        if (length != _fileLength)
            throw new InvalidDataException(
                Invariant($"{Path}: had {_fileLength} bytes when it was opened, it has {length} now; it changed while being read."));
    }
}
