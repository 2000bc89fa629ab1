using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Diffusion.Core.Build.Tests;

/// <summary>Builds a small shared library for x86-64 Linux that consists of its dynamic symbols and their versions.</summary>
internal sealed class LibraryBuilder
{
    public const string Libstdcxx = "libstdc++.so.6";
    public const string InitSymbol = "_ZSt21ios_base_library_initv";
    public const string WaitSymbol = "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE";

    private readonly List<byte> _names = [0];
    private readonly List<(int Name, int Version, int Section)> _symbols = [(0, 0, 0)];
    private readonly List<(string File, string Version, int Index, int Flags)> _needed = [];
    private readonly List<string> _defined = [];

    /// <summary>What libLibTorchSharp.so of TorchSharp 0.107 needs, in brief.</summary>
    public static LibraryBuilder LikeTorchSharp(string init = InitSymbol, string initVersion = "GLIBCXX_3.4.32") => new LibraryBuilder()
        .Needs("libc.so.6", "GLIBC_2.34", 3)
        .Needs(Libstdcxx, "GLIBCXX_3.4.30", 7)
        .Needs(Libstdcxx, "GLIBCXX_3.4.11", 6)
        .Needs(Libstdcxx, initVersion, 5)
        .Needs(Libstdcxx, "GLIBCXX_3.4", 2)
        .Symbol("_ZNSolsEi", 2)
        .Symbol(init, 5)
        .Symbol("memcpy", 3)
        .Symbol(WaitSymbol, 7)
        .Symbol("_ZNSt6thread4joinEv", 6)
        .Symbol("THSTensor_add", 1, section: 4);

    /// <summary>A libstdc++.so.6 that defines GLIBCXX_3.4 to GLIBCXX_3.4.newest.</summary>
    public static LibraryBuilder LikeLibstdcxx(int newest)
    {
        var library = new LibraryBuilder().Defines(Libstdcxx).Defines("GLIBCXX_3.4");
        for (var i = 1; i <= newest; i++)
            library.Defines($"GLIBCXX_3.4.{i}");
        return library;
    }

    public LibraryBuilder Needs(string file, string version, int index, int flags = 0)
    {
        _needed.Add((file, version, index, flags));
        return this;
    }

    public LibraryBuilder Without(string version)
    {
        _needed.RemoveAll(needed => needed.Version == version);
        return this;
    }

    public LibraryBuilder Defines(string version)
    {
        _defined.Add(version);
        return this;
    }

    public LibraryBuilder Symbol(string name, int version, int section = 0)
    {
        _symbols.Add((Name(name), version, section));
        return this;
    }

    /// <summary>A symbol whose name is the end of the one that was added last.</summary>
    public LibraryBuilder SymbolInLastName(int skippedCharacters, int version)
    {
        _symbols.Add((_symbols[^1].Name + skippedCharacters, version, 0));
        return this;
    }

    public byte[] Build()
    {
        // Section types: 11 .dynsym, 3 .dynstr, 0x6fffffff .gnu.version, 0x6ffffffe .gnu.version_r, 0x6ffffffd .gnu.version_d.
        const int Names = 2;
        var needs = Needs();
        var definitions = Definitions();
        var (file, headers) = (new List<byte>(new byte[64]), new List<byte>(new byte[64]));
        Add(11, Join(_symbols.Select(symbol => Join(U32(symbol.Name), [0x12, 0], U16(symbol.Section), new byte[16]))), Names, 1, 24);
        Add(3, [.. _names], 0, 0);
        Add(0x6fffffff, Join(_symbols.Select(symbol => U16(symbol.Version))), 1, 0);
        if (_needed.Count > 0)
            Add(0x6ffffffe, needs, Names, _needed.Select(version => version.File).Distinct().Count());
        if (_defined.Count > 0)
            Add(0x6ffffffd, definitions, Names, _defined.Count);
        var start = file.Count;
        byte[] image = [.. file, .. headers];
        Join([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], new byte[9], U16(3), U16(62), U32(1)).CopyTo(image, 0);
        U32(start).CopyTo(image, 40);
        Join(U16(64), U16(56), U16(0), U16(64), U16(headers.Count / 64), U16(0)).CopyTo(image, 52);
        return image;

        void Add(uint type, byte[] content, int link, int info, int entrySize = 0)
        {
            headers.AddRange(Join(U32(0), U32((int)type), new byte[16], U64(file.Count), U64(content.Length), U32(link), U32(info)));
            headers.AddRange(Join(U64(1), U64(entrySize)));
            file.AddRange(content);
        }
    }

    public string Write(string path)
    {
        File.WriteAllBytes(path, Build());
        return path;
    }

    private byte[] Needs()
    {
        var files = _needed.GroupBy(version => version.File).ToList();
        return Join(files.Select((file, i) =>
        {
            var entries = Join(file.Select((version, j) =>
                Join(U32(0), U16(version.Flags), U16(version.Index), U32(Name(version.Version)), U32(j + 1 < file.Count() ? 16 : 0))));
            var next = i + 1 < files.Count ? 16 + entries.Length : 0;
            return Join(U16(1), U16(file.Count()), U32(Name(file.Key)), U32(16), U32(next), entries);
        }));
    }

    private byte[] Definitions() => Join(_defined.Select((version, i) => Join(
        U16(1), U16(0), U16(i + 1), U16(1), U32(0), U32(20), U32(i + 1 < _defined.Count ? 28 : 0), U32(Name(version)), U32(0))));

    private int Name(string name)
    {
        var start = _names.Count;
        _names.AddRange([.. Encoding.ASCII.GetBytes(name), 0]);
        return start;
    }

    private static byte[] Join(params IEnumerable<byte[]> parts) => [.. parts.SelectMany(part => part)];

    private static byte[] U16(int value) => Bytes(2, span => BinaryPrimitives.WriteUInt16LittleEndian(span, (ushort)value));

    private static byte[] U32(int value) => Bytes(4, span => BinaryPrimitives.WriteInt32LittleEndian(span, value));

    private static byte[] U64(int value) => Bytes(8, span => BinaryPrimitives.WriteInt64LittleEndian(span, value));

    private static byte[] Bytes(int count, Action<byte[]> write)
    {
        var bytes = new byte[count];
        write(bytes);
        return bytes;
    }
}
