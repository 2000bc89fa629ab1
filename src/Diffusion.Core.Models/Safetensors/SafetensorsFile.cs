using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An open safetensors file: weights as plain data, which cannot run code. Opening reads and checks the header only; the data is mapped
/// into memory, and each tensor is copied out of the map when it is read, so that reading takes no memory but the tensor's own. Safe for
/// concurrent readers.
/// </summary>
/// <remarks>
/// Leave the file as it is while it is open: one whose length has changed throws an exception at the next read, but a map whose pages
/// vanish during a
/// copy ends the process on Unix. Replacing the file by renaming another over it is safe, and all that this library does.
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

    /// <summary>The file that was opened.</summary>
    public string Path { get; }

    /// <summary>The tensors, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The names of the tensors, in the order of their data.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The metadata strings; often empty.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Returns the entry of one tensor in the header.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    public SafetensorsEntry this[string name] => _byName.TryGetValue(name, out var entry)
        ? entry
        : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {Names.Count}: {string.Join(", ", Names.Take(20))}.");

    /// <summary>Opens a file and checks its header against its size.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is damaged; the message names the file, the tensor, what was expected and what is there.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        try
        {
            var fileLength = RandomAccess.GetLength(handle);
            if (fileLength < SafetensorsHeader.PrefixLength)
                throw new InvalidDataException(
                    $"{path}: a safetensors file has at least {SafetensorsHeader.PrefixLength} bytes, this one has {fileLength}.");
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

    /// <summary>True when there is a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Reads one tensor.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="device">The device of the tensor. The default is the CPU.</param>
    /// <returns>
    /// A new tensor of the shape in the file, of the type <see cref="SafetensorsEntry.Dtype"/>. The caller must dispose the
    /// returned tensor.
    /// </returns>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="InvalidDataException">
    /// The type of the tensor is not known, the file changed since it was opened, a BOOL is neither 0 nor 1, or a U64 is 2^63 or more.
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
    /// <exception cref="InvalidDataException">As for <see cref="Read"/>; nothing remains.</exception>
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

    /// <summary>The bytes of one tensor as they lie in the file, of any type: little-endian, row-major.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <returns>A read-only stream over the map; dispose it before the file.</returns>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="InvalidDataException">The file changed since it was opened.</exception>
    public Stream OpenBytes(string name)
    {
        var entry = this[name];
        CheckUnchanged();
        return entry.ByteCount == 0 ? Stream.Null : _map.CreateViewStream(entry.Position, entry.ByteCount, MemoryMappedFileAccess.Read);
    }

    /// <summary>Closes the file; tensors already read stay.</summary>
    public void Dispose()
    {
        _map.Dispose();
        _handle.Dispose();
    }

    /// <summary>Throws for a tensor whose bytes are not values of its type; only some types have such bytes.</summary>
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
                $"{Path}: tensor '{entry.Name}' has dtype '{entry.Type}', expected one of {SafetensorsType.Names}; only its bytes can be read.");
    }

    private static void Fill(SafeFileHandle handle, string path, Span<byte> buffer, long position)
    {
        while (!buffer.IsEmpty)
        {
            var count = RandomAccess.Read(handle, buffer, position);
            if (count == 0)
                throw new InvalidDataException(
                    $"{path}: ends at byte {position}, {buffer.Length} bytes too early; it changed while being read.");
            buffer = buffer[count..];
            position += count;
        }
    }

    /// <summary>In pieces, because a span of bytes ends at 2 GiB and a tensor need not.</summary>
    private void Copy(SafetensorsEntry entry, Func<long, long, Tensor> target)
    {
        using var stream = OpenBytes(entry.Name);
        for (long start = 0, total = entry.ByteCount / entry.Type.Size; start < total; start += ChunkElements)
        {
            CheckUnchanged();
            using var piece = target(start, Math.Min(ChunkElements, total - start));
            if (SafetensorsElements.Read(stream, entry.Type, piece.bytes) is { } fault)
                throw new InvalidDataException(
                    $"{Path}: tensor '{entry.Name}' of {entry.Type} {fault.What} at element {start + fault.Index}.");
        }
    }

    private void CheckUnchanged()
    {
        var length = RandomAccess.GetLength(_handle);
        if (length != _fileLength)
            throw new InvalidDataException(
                $"{Path}: had {_fileLength} bytes when it was opened, it has {length} now; it changed while being read.");
    }
}
