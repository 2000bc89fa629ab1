using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>What is changed in libLibTorchSharp.so: its symbols and versions, read before and after.</summary>
public sealed class RelinkTests : IDisposable
{
    private const string Init = "_ZNSt8ios_base4InitC1Ev";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void With_the_libstdcxx_of_GCC_12_one_symbol_gets_another_name_and_version()
    {
        var image = Image(LibraryBuilder.LikeTorchSharp());
        var (symbols, versions) = (SymbolTable.Symbols(image), SymbolTable.Versions(image));

        LibTorchSharp.Relink(image, Available(30)).Should().Equal("GLIBCXX_3.4.32");

        symbols[2].Should().Be($"{LibraryBuilder.InitSymbol}@GLIBCXX_3.4.32");
        symbols[2] = $"{Init}@GLIBCXX_3.4";
        SymbolTable.Symbols(image).Should().Equal(symbols);
        versions[3].Should().Be("libstdc++.so.6 GLIBCXX_3.4.32");
        versions[3] += " weak";
        SymbolTable.Versions(image).Should().Equal(versions);
    }

    [Fact]
    public void With_the_libstdcxx_of_GCC_11_wait_gets_its_older_version_as_well()
    {
        var image = Image(LibraryBuilder.LikeTorchSharp());
        var (symbols, versions) = (SymbolTable.Symbols(image), SymbolTable.Versions(image));

        LibTorchSharp.Relink(image, Available(29)).Should().Equal("GLIBCXX_3.4.30", "GLIBCXX_3.4.32");

        symbols[2] = $"{Init}@GLIBCXX_3.4";
        symbols[4].Should().Be($"{LibraryBuilder.WaitSymbol}@GLIBCXX_3.4.30");
        symbols[4] = $"{LibraryBuilder.WaitSymbol}@GLIBCXX_3.4.11";
        SymbolTable.Symbols(image).Should().Equal(symbols);
        versions[1] += " weak";
        versions[3] += " weak";
        SymbolTable.Versions(image).Should().Equal(versions);
    }

    [Fact]
    public void A_copy_for_any_system_equals_the_one_for_GCC_11()
    {
        var (image, older) = (Image(LibraryBuilder.LikeTorchSharp()), Image(LibraryBuilder.LikeTorchSharp()));

        LibTorchSharp.Relink(image, null).Should().Equal("GLIBCXX_3.4.30", "GLIBCXX_3.4.32");
        LibTorchSharp.Relink(older, Available(29));

        image.Bytes.Should().Equal(older.Bytes);
    }

    [Fact]
    public void With_the_libstdcxx_of_GCC_13_nothing_is_changed()
    {
        var image = Image(LibraryBuilder.LikeTorchSharp());

        LibTorchSharp.Relink(image, Available(32)).Should().BeEmpty();

        image.Bytes.Should().Equal(LibraryBuilder.LikeTorchSharp().Build());
    }

    [Fact]
    public void A_second_time_changes_nothing()
    {
        var image = Image(LibraryBuilder.LikeTorchSharp());
        LibTorchSharp.Relink(image, Available(30));
        var once = image.Bytes.ToArray();

        LibTorchSharp.Relink(image, Available(30)).Should().BeEmpty();

        image.Bytes.Should().Equal(once);
    }

    [Fact]
    public void A_library_that_was_built_with_an_older_compiler_stays_unchanged()
    {
        var image = Image(LibraryBuilder.LikeTorchSharp(Init, "GLIBCXX_3.4.9"));
        var before = image.Bytes.ToArray();

        LibTorchSharp.Relink(image, Available(30)).Should().BeEmpty();

        image.Bytes.Should().Equal(before);
    }

    public static TheoryData<string, string> Unexpected => new()
    {
        { "another symbol", "symbols of version GLIBCXX_3.4.32: expected _ZSt21ios_base_library_initv, found _ZSt9terminatev" },
        { "two symbols", "expected _ZSt21ios_base_library_initv, found _ZSt21ios_base_library_initv, _ZSt9terminatev" },
        { "no symbol", "expected _ZSt21ios_base_library_initv, found none" },
        { "a defined symbol", "section of _ZSt21ios_base_library_initv: expected 0 (undefined), found 4" },
        { "a newer version", "versions this system lacks: expected GLIBCXX_3.4.32 or GLIBCXX_3.4.30, found GLIBCXX_3.4.33" },
        { "no older version", "entries of version GLIBCXX_3.4: expected 1, found 0" },
        { "a shared name", "other names that contain _ZSt21ios_base_library_initv: expected none, found at least one" },
        { "no versions", "sections .gnu.version_r: expected 1, found 0" },
    };

    [Theory]
    [MemberData(nameof(Unexpected))]
    public void Anything_unexpected_is_an_error_and_leaves_the_bytes_alone(string kind, string message)
    {
        var library = kind switch
        {
            "another symbol" => LibraryBuilder.LikeTorchSharp("_ZSt9terminatev"),
            "two symbols" => LibraryBuilder.LikeTorchSharp().Symbol("_ZSt9terminatev", 5),
            "no symbol" => LibraryBuilder.LikeTorchSharp().Needs(LibraryBuilder.Libstdcxx, "GLIBCXX_3.4.32", 9).Without("GLIBCXX_3.4.30"),
            "a defined symbol" => Base().Needs(LibraryBuilder.Libstdcxx, "GLIBCXX_3.4", 2).Symbol(LibraryBuilder.InitSymbol, 5, section: 4),
            "a newer version" => LibraryBuilder.LikeTorchSharp().Needs(LibraryBuilder.Libstdcxx, "GLIBCXX_3.4.33", 9),
            "no older version" => Base().Symbol(LibraryBuilder.InitSymbol, 5),
            "a shared name" => Base().Needs(LibraryBuilder.Libstdcxx, "GLIBCXX_3.4", 2)
                .Symbol(LibraryBuilder.InitSymbol, 5).SymbolInLastName(23, 2),
            "no versions" => new LibraryBuilder().Symbol(LibraryBuilder.InitSymbol, 5),
            _ => throw new ArgumentException(kind),
        };
        var image = Image(library);
        var before = image.Bytes.ToArray();

        var relink = () => LibTorchSharp.Relink(image, Available(30));

        relink.Should().Throw<InvalidDataException>().WithMessage($"*{message}*");
        image.Bytes.Should().Equal(before);

        static LibraryBuilder Base() => new LibraryBuilder().Needs(LibraryBuilder.Libstdcxx, "GLIBCXX_3.4.32", 5);
    }

    private static HashSet<string> Available(int newest) =>
        [.. Enumerable.Range(1, newest).Select(i => $"GLIBCXX_3.4.{i}"), "GLIBCXX_3.4"];

    private ElfImage Image(LibraryBuilder library) => new(library.Write(_folder.File(Guid.NewGuid() + ".so")));
}
