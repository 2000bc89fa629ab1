using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An open safetensors file: weights as plain data, which cannot run code. Opening reads and checks the header only; each tensor is
/// read straight into its own memory when asked for. Safe for concurrent readers.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private const long ChunkElements = 1 << 24;

    private readonly SafeFileHandle _handle;
    private readonly SafetensorsHeader _header;
    private readonly Dictionary<string, SafetensorsEntry> _byName;

    private SafetensorsFile(string path, SafeFileHandle handle, SafetensorsHeader header)
    {
        (Path, _handle, _header) = (path, handle, header);
        _byName = header.Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        Names = [.. header.Entries.Select(entry => entry.Name)];
    }

    /// <summary>The file that was opened.</summary>
    public string Path { get; }

    /// <summary>The tensors, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The names of the tensors, in the order of their data.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The strings stored beside the tensors; often empty.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>What the header says about one tensor.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    public SafetensorsEntry this[string name] => _byName.TryGetValue(name, out var entry)
        ? entry
        : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {Names.Count}: {string.Join(", ", Names.Take(20))}.");

    /// <summary>Opens a file and checks its header against its size.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is damaged; the message names the file, the tensor, what was expected and what is there.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
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
            return new SafetensorsFile(path, handle, SafetensorsHeader.Parse(path, json, fileLength));
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
    /// <param name="device">Where the tensor goes; the CPU unless said otherwise.</param>
    /// <returns>A new tensor of the type and shape in the file; the caller's.</returns>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="InvalidDataException">The file changed since it was opened, or a BOOL is neither 0 nor 1.</exception>
    public Tensor Read(string name, Device? device = null)
    {
        var entry = this[name];
        var result = empty([.. entry.Shape], dtype: entry.Dtype);
        try
        {
            ReadInto(result, entry);
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
    /// <param name="device">Where the tensors go; the CPU unless said otherwise.</param>
    /// <returns>Name to tensor; the tensors are the caller's.</returns>
    /// <exception cref="InvalidDataException">As for <see cref="Read"/>; nothing stays behind.</exception>
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

    /// <summary>Closes the file; tensors already read stay.</summary>
    public void Dispose() => _handle.Dispose();

    private static void Fill(SafeFileHandle handle, string path, Span<byte> buffer, long position)
    {
        while (!buffer.IsEmpty)
        {
            var count = RandomAccess.Read(handle, buffer, position);
            if (count == 0)
                throw new InvalidDataException($"{path}: ends at byte {position}, {buffer.Length} bytes too early; it changed while being read.");
            buffer = buffer[count..];
            position += count;
        }
    }

    private void ReadInto(Tensor tensor, SafetensorsEntry entry)
    {
        // In pieces, because a span of bytes ends at 2 GiB and a tensor need not.
        using var flat = tensor.view(-1);
        var position = entry.Position;
        for (long start = 0, total = tensor.numel(); start < total; start += ChunkElements)
        {
            using var piece = flat.narrow(0, start, Math.Min(ChunkElements, total - start));
            var bytes = piece.bytes;
            Fill(_handle, Path, bytes, position);
            if (entry.Dtype == ScalarType.Bool && bytes.IndexOfAnyExceptInRange((byte)0, (byte)1) is var bad and >= 0)
                throw new InvalidDataException(
                    $"{Path}: tensor '{entry.Name}' of BOOL must hold 0 and 1 only, got {bytes[bad]} at element {start + bad}.");
            position += bytes.Length;
        }
    }
}
