#nullable enable
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

// MSBuild compiles this file against .NET Standard 2.0 (RoslynCodeTaskFactory takes a single file); the tests compile it as well.
namespace Diffusion.Core.Build;

/// <summary>Writes a copy of TorchSharp's libLibTorchSharp.so that loads with an older libstdc++.</summary>
public sealed class MakeLibTorchSharpLoadable : Task
{
    /// <summary>The library of the TorchSharp package. It is never written to.</summary>
    [Required]
    public string Source { get; set; } = "";

    /// <summary>The copy. It is written to a temporary file in the same folder, which then takes its name.</summary>
    [Required]
    public string Destination { get; set; } = "";

    /// <summary>Whether the copy must load on any supported system, not only on this one. Default: <see langword="false"/>.</summary>
    public bool AnySystem { get; set; }

    /// <summary>Where to look for libstdc++.so.6. Default: the places of this system's dynamic loader.</summary>
    internal LoaderPaths Paths { get; set; } = LoaderPaths.OfThisSystem();

    /// <inheritdoc/>
    public override bool Execute()
    {
        try
        {
            var image = new ElfImage(Source);
            var changed = LibTorchSharp.Relink(image, AvailableVersions());
            WriteAtomically(image.Bytes, Destination);
            Log.LogMessage("{0} needs no longer: {1}.", Destination, changed.Count == 0 ? "nothing" : string.Join(", ", changed));
            return true;
        }
        catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            Log.LogError(null, "DCTS001", null, Source, 0, 0, 0, 0, "TorchSharpOnOlderLinux: {0}", error.Message);
            return false;
        }
    }

    // Null where any version may be missing.
    private HashSet<string>? AvailableVersions()
    {
        if (AnySystem)
            return null;
        var path = Paths.Find(LibTorchSharp.Libstdcxx);
        if (path is null)
        {
            Log.LogMessage(MessageImportance.High, "No {0} was found; {1} stays unchanged.", LibTorchSharp.Libstdcxx, Source);
            return [.. new ElfImage(Source).NeededVersions().Select(version => version.Name)];
        }
        return [.. new ElfImage(path).DefinedVersions()];
    }

    // Readers and hard links of a previous file keep its content.
    private static void WriteAtomically(byte[] bytes, string path)
    {
        if (File.Exists(path) && File.ReadAllBytes(path).SequenceEqual(bytes))
            return;
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var temporary = path + "." + Guid.NewGuid().ToString("N") + ".tmp";
        try
        {
            File.WriteAllBytes(temporary, bytes);
            if (File.Exists(path))
                File.Replace(temporary, path, null);
            else
                File.Move(temporary, path);
        }
        catch (IOException) when (File.Exists(path) && File.ReadAllBytes(path).SequenceEqual(bytes))
        {
            // Another build wrote it in the meantime.
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}

/// <summary>The symbols of libLibTorchSharp.so that older versions of libstdc++ lack, and what takes their place.</summary>
internal static class LibTorchSharp
{
    internal const string Libstdcxx = "libstdc++.so.6";

    // Init::Init() counts its calls in a static variable and does not read its argument. wait() is the same function in both
    // versions; GCC 12 only declared it noexcept.
    private static readonly Replacement[] Replacements =
    [
        new("GLIBCXX_3.4.32", "_ZSt21ios_base_library_initv", "GLIBCXX_3.4", "_ZNSt8ios_base4InitC1Ev"),
        new("GLIBCXX_3.4.30", "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE",
            "GLIBCXX_3.4.11", "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE"),
    ];

    /// <summary>Changes <paramref name="image"/> to need only versions of libstdc++ that are available.</summary>
    /// <param name="image">The library; its bytes are changed only when the method returns.</param>
    /// <param name="available">The versions that libstdc++ defines; <see langword="null"/> for those of GCC 11.</param>
    /// <returns>The versions that the library no longer needs; empty where all are available, or were replaced before.</returns>
    /// <exception cref="InvalidDataException">The library does not have the expected form.</exception>
    internal static IReadOnlyList<string> Relink(ElfImage image, ICollection<string>? available)
    {
        var versions = image.NeededVersions().Where(version => version.File == Libstdcxx).ToList();
        var replaceable = Replacements.Select(known => known.Version).ToList();
        available ??= [.. versions.Select(version => version.Name).Except(replaceable)];
        var missing = versions.Where(version => !version.IsWeak && !available.Contains(version.Name)).ToList();
        var unknown = missing.Select(version => version.Name).Except(replaceable).ToList();
        image.Require(unknown.Count == 0, "versions this system lacks", string.Join(" or ", replaceable), string.Join(", ", unknown));
        var edits = missing.Select(version => Plan(image, versions, version)).ToList();
        edits.ForEach(edit => edit());
        return [.. missing.Select(version => version.Name)];
    }

    private static Action Plan(ElfImage image, List<NeededVersion> versions, NeededVersion missing)
    {
        var known = Replacements.Single(replacement => replacement.Version == missing.Name);
        var symbols = image.Symbols().Where(candidate => image.VersionOf(candidate) == missing.Index).ToList();
        image.Require(symbols.Count == 1 && symbols[0].Name == known.Symbol, "symbols of version " + known.Version, known.Symbol,
            symbols.Count == 0 ? "none" : string.Join(", ", symbols.Select(found => found.Name)));
        var symbol = symbols[0];
        image.Require(symbol.Section == 0, "section of " + known.Symbol, "0 (undefined)", symbol.Section.ToString(CultureInfo.InvariantCulture));
        var target = versions.Where(version => version.Name == known.NewVersion && !version.IsWeak).ToList();
        image.Require(target.Count == 1, "entries of version " + known.NewVersion, "1", target.Count.ToString(CultureInfo.InvariantCulture));
        image.Require(!image.SharesName(symbol), "other names that contain " + known.Symbol, "none", "at least one");
        return () =>
        {
            image.OverwriteName(symbol, known.NewSymbol);
            image.SetVersion(symbol, target[0].Index);
            image.MakeWeak(missing);
        };
    }

    private record struct Replacement(string Version, string Symbol, string NewVersion, string NewSymbol);
}

/// <summary>An entry of .gnu.version_r: a version of another library that the file needs.</summary>
internal record struct NeededVersion(string File, string Name, int Index, bool IsWeak, long Offset);

/// <summary>An entry of .dynsym.</summary>
internal record struct DynamicSymbol(int Index, string Name, long NameOffset, int Section);

/// <summary>A file in memory. Each read is checked against its length.</summary>
internal class CheckedFile(string path, byte[] bytes)
{
    internal byte[] Bytes { get; } = bytes;

    internal void Require(bool condition, string what, string expected, string actual)
    {
        if (!condition)
            throw new InvalidDataException($"{path}: {what}: expected {expected}, found {actual}.");
    }

    internal void RequireNumber(string what, long expected, long actual) =>
        Require(actual == expected, what, expected.ToString(CultureInfo.InvariantCulture), actual.ToString(CultureInfo.InvariantCulture));

    internal ushort U16(long at) => (ushort)Number(at, 2);
    internal uint U32(long at) => (uint)Number(at, 4);
    internal long I64(long at) => Number(at, 8);

    internal void Write16(long at, int value)
    {
        Bytes[at] = (byte)value;
        Bytes[at + 1] = (byte)(value >> 8);
    }

    internal string Text(long at)
    {
        Check(at, 1);
        var end = Array.IndexOf(Bytes, (byte)0, (int)at);
        Require(end >= 0, "name at offset " + at, "a zero byte at its end", "none");
        return Encoding.ASCII.GetString(Bytes, (int)at, end - (int)at);
    }

    private long Number(long at, int count)
    {
        Check(at, count);
        var number = 0L;
        for (var i = count - 1; i >= 0; i--)
        {
            number = (number << 8) | Bytes[at + i];
        }
        return number;
    }

    private void Check(long at, int count) =>
        Require(at >= 0 && at <= Bytes.Length - count, "bytes at offset " + at, count.ToString(CultureInfo.InvariantCulture), "the end of the file at " + Bytes.Length);
}

/// <summary>The dynamic symbols and versions of a shared library for x86-64 Linux.</summary>
internal sealed class ElfImage : CheckedFile
{
    private const uint StringTable = 3, DynamicSymbols = 11;
    private const uint VersionDefinitions = 0x6ffffffd, VersionNeeds = 0x6ffffffe, SymbolVersions = 0x6fffffff;
    private const int WeakFlag = 2;
    private readonly List<Section> _sections = [];

    /// <exception cref="InvalidDataException">The file is not a shared library for x86-64 Linux.</exception>
    internal ElfImage(string path) : base(path, File.ReadAllBytes(path))
    {
        RequireNumber("first four bytes (1179403647: ELF)", 0x464c457f, U32(0));
        RequireNumber("class and byte order (258: 64 bits, little-endian)", 0x0102, U16(4));
        RequireNumber("file type (3: shared library)", 3, U16(16));
        RequireNumber("machine (62: x86-64)", 62, U16(18));
        RequireNumber("size of a section header", 64, U16(58));
        var count = U16(60);
        for (var i = 0; i < count; i++)
        {
            var at = I64(40) + i * 64L;
            _sections.Add(new Section(U32(at + 4), I64(at + 24), I64(at + 32), U32(at + 40), U32(at + 44), I64(at + 56)));
        }
    }

    internal IEnumerable<DynamicSymbol> Symbols()
    {
        var table = One(DynamicSymbols, ".dynsym");
        RequireNumber("size of an entry of .dynsym", 24, table.EntrySize);
        for (var i = 0; i < table.Size / 24; i++)
        {
            var entry = table.Start + i * 24L;
            var name = StringOffset(table, U32(entry));
            yield return new DynamicSymbol(i, Text(name), name, U16(entry + 6));
        }
    }

    // The highest bit of a version index marks a hidden symbol.
    internal int VersionOf(DynamicSymbol symbol) => U16(VersionEntry(symbol.Index)) & 0x7fff;

    // A linker may store a name as the end of another one.
    internal bool SharesName(DynamicSymbol symbol) => Bytes[symbol.NameOffset - 1] != 0 || Symbols().Any(other =>
        other.Index != symbol.Index && other.NameOffset >= symbol.NameOffset && other.NameOffset <= symbol.NameOffset + symbol.Name.Length);

    internal IEnumerable<NeededVersion> NeededVersions()
    {
        var table = One(VersionNeeds, ".gnu.version_r");
        foreach (var file in Chain(table.Start, table.Info, 12))
        {
            var fileName = Text(StringOffset(table, U32(file + 4)));
            foreach (var entry in Chain(file + U32(file + 8), U16(file + 2), 12))
            {
                var name = Text(StringOffset(table, U32(entry + 8)));
                yield return new NeededVersion(fileName, name, U16(entry + 6), (U16(entry + 4) & WeakFlag) != 0, entry);
            }
        }
    }

    internal List<string> DefinedVersions()
    {
        var table = One(VersionDefinitions, ".gnu.version_d");
        return [.. Chain(table.Start, table.Info, 16).Select(entry => Text(StringOffset(table, U32(entry + U32(entry + 12)))))];
    }

    internal void OverwriteName(DynamicSymbol symbol, string name)
    {
        Array.Clear(Bytes, (int)symbol.NameOffset, symbol.Name.Length);
        Encoding.ASCII.GetBytes(name, 0, name.Length, Bytes, (int)symbol.NameOffset);
    }

    internal void SetVersion(DynamicSymbol symbol, int version) => Write16(VersionEntry(symbol.Index), version);

    internal void MakeWeak(NeededVersion version) => Write16(version.Offset + 4, U16(version.Offset + 4) | WeakFlag);

    private Section One(uint type, string name)
    {
        var found = _sections.Where(section => section.Type == type).ToList();
        RequireNumber("sections " + name, 1, found.Count);
        return found[0];
    }

    private long VersionEntry(int symbol) => One(SymbolVersions, ".gnu.version").Start + symbol * 2L;

    // The entries of a linked list; the last four bytes of an entry's head, at nextOffset, are the distance to the next one.
    private IEnumerable<long> Chain(long start, long count, int nextOffset)
    {
        for (var entry = start; count > 0; count--)
        {
            yield return entry;
            var next = U32(entry + nextOffset);
            Require(next > 0 || count == 1, "entries of a version list", count + " more", "1 more");
            entry += next;
        }
    }

    private long StringOffset(Section table, uint offset)
    {
        var names = table.Link < _sections.Count ? _sections[(int)table.Link] : default;
        RequireNumber("type of the section of names", StringTable, names.Type);
        Require(offset < names.Size, "position of a name", "below " + names.Size, offset.ToString(CultureInfo.InvariantCulture));
        return names.Start + offset;
    }

    private record struct Section(uint Type, long Start, long Size, uint Link, uint Info, long EntrySize);
}

/// <summary>Where the dynamic loader looks for a library.</summary>
internal sealed class LoaderPaths(string? libraryPath, string cache, params string[] standardFolders)
{
    internal static LoaderPaths OfThisSystem() => new(Environment.GetEnvironmentVariable("LD_LIBRARY_PATH"), "/etc/ld.so.cache",
        "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib");

    /// <summary>The first library of this name that is one for x86-64 Linux; <see langword="null"/> where there is none.</summary>
    internal string? Find(string name)
    {
        var folders = (libraryPath ?? "").Split([':', ';'], StringSplitOptions.RemoveEmptyEntries);
        var paths = folders.Select(InFolder).Concat(Valid(() => Cached(name), [])).Concat(standardFolders.Select(InFolder));
        return paths.FirstOrDefault(path => File.Exists(path) && Valid(() => new ElfImage(path).DefinedVersions().Count > 0, false));

        string InFolder(string folder) => Path.Combine(folder, name);
    }

    private static T Valid<T>(Func<T> read, T otherwise)
    {
        try
        {
            return read();
        }
        catch (InvalidDataException)
        {
            return otherwise;
        }
    }

    // glibc's struct cache_file_new: a head of 48 bytes, then entries of 24 bytes: flags, name, path.
    private List<string> Cached(string name)
    {
        const string Magic = "glibc-ld.so.cache1.1";
        const uint X64 = 0x0303;
        var found = new List<string>();
        var file = new CheckedFile(cache, File.Exists(cache) ? File.ReadAllBytes(cache) : []);
        file.Require(file.Text(0).StartsWith(Magic, StringComparison.Ordinal), "first bytes", Magic, file.Text(0));
        for (var entry = 48L; entry < 48 + file.U32(20) * 24L; entry += 24)
        {
            if (file.U32(entry) == X64 && file.Text(file.U32(entry + 4)) == name)
                found.Add(file.Text(file.U32(entry + 8)));
        }
        return found;
    }
}
