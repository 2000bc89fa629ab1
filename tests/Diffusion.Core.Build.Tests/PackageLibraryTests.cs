using System;
using System.IO;
using System.Linq;

namespace Diffusion.Core.Build.Tests;

/// <summary>The libLibTorchSharp.so of the TorchSharp package that this repository uses.</summary>
public sealed class PackageLibraryTests
{
    private static string Library => Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    [Fact]
    public void Its_two_new_symbols_and_nothing_else_change()
    {
        var image = new ElfImage(Library);
        var (bytes, symbols, versions) = (image.Bytes.ToArray(), SymbolTable.Symbols(image), SymbolTable.Versions(image));

        LibTorchSharp.Relink(image, null).Should().BeEquivalentTo("GLIBCXX_3.4.30", "GLIBCXX_3.4.32");

        var changed = SymbolTable.Symbols(image).Zip(symbols).Where(pair => pair.First != pair.Second).ToList();
        changed.Should().BeEquivalentTo(
        [
            ("_ZNSt8ios_base4InitC1Ev@GLIBCXX_3.4", $"{LibraryBuilder.InitSymbol}@GLIBCXX_3.4.32"),
            ($"{LibraryBuilder.WaitSymbol}@GLIBCXX_3.4.11", $"{LibraryBuilder.WaitSymbol}@GLIBCXX_3.4.30"),
        ]);
        SymbolTable.Versions(image).Except(versions).Should().BeEquivalentTo(
            "libstdc++.so.6 GLIBCXX_3.4.30 weak", "libstdc++.so.6 GLIBCXX_3.4.32 weak");
        image.Bytes.Should().HaveSameCount(bytes);
        image.Bytes.Where((value, i) => value != bytes[i]).Count().Should().BeLessThanOrEqualTo(28 + 2 + 2 + 1 + 1);
    }

    [Fact]
    public void It_needs_no_version_that_GCC_11_lacks_but_those()
    {
        var image = new ElfImage(Library);

        LibTorchSharp.Relink(image, [.. new ElfImage(Library).NeededVersions().Select(version => version.Name)
            .Where(name => name is not ("GLIBCXX_3.4.30" or "GLIBCXX_3.4.32"))]).Should().HaveCount(2);

        image.NeededVersions().Where(version => !version.IsWeak && version.Name.StartsWith("GLIBCXX_3.4.", StringComparison.Ordinal))
            .Select(version => int.Parse(version.Name["GLIBCXX_3.4.".Length..], null)).Should().OnlyContain(minor => minor <= 29);
    }
}
