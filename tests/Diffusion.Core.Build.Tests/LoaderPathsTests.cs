using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using System.Text;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>Which libstdc++.so.6 the dynamic loader takes.</summary>
public sealed class LoaderPathsTests : IDisposable
{
    private const string Name = LibraryBuilder.Libstdcxx;
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void LD_LIBRARY_PATH_comes_first_then_the_cache_then_the_standard_folders()
    {
        var (listed, cached, standard) = (Library("listed"), Library("cached"), Library("standard"));
        var cache = Cache((0x0303, Name, cached));
        var (none, folder) = (_folder.File("none"), Path.GetDirectoryName(standard)!);

        new LoaderPaths($"{none}:{Path.GetDirectoryName(listed)}", cache, folder).Find(Name).Should().Be(listed);
        new LoaderPaths(none, cache, folder).Find(Name).Should().Be(cached);
        new LoaderPaths(null, none, none, folder).Find(Name).Should().Be(standard);
        new LoaderPaths("", none, none).Find(Name).Should().BeNull();
    }

    [Fact]
    public void Libraries_for_other_processors_and_missing_files_are_passed_over()
    {
        var (other, library) = (Library("other"), Library("library"));
        var bytes = File.ReadAllBytes(other);
        bytes[4] = 1;
        File.WriteAllBytes(other, bytes);
        var cache = Cache((3, Name, Library("i386")), (0x0303, "libm.so.6", Library("another")), (0x0303, Name, _folder.File("gone")),
            (0x0303, Name, library));

        new LoaderPaths(Path.GetDirectoryName(other), cache).Find(Name).Should().Be(library);
    }

    [Fact]
    public void A_cache_of_another_form_is_passed_over()
    {
        var standard = Library("standard");
        var cache = Cache((0x0303, Name, Library("cached")));
        var bytes = File.ReadAllBytes(cache);

        foreach (var damaged in new[] { [], bytes[..30], bytes[..60], [.. Encoding.ASCII.GetBytes("ld.so-1.7.0"), 0] })
        {
            File.WriteAllBytes(cache, damaged);
            new LoaderPaths(null, cache, Path.GetDirectoryName(standard)!).Find(Name).Should().Be(standard);
        }
    }

    [Fact]
    public void This_system_has_a_libstdcxx_whose_versions_can_be_read()
    {
        var path = LoaderPaths.OfThisSystem().Find(Name);
        Assert.SkipWhen(path is null, $"This system has no {Name} for x86-64.");

        new ElfImage(path).DefinedVersions().Should().Contain(["GLIBCXX_3.4", "GLIBCXX_3.4.11"]);
    }

    private string Library(string folder)
    {
        Directory.CreateDirectory(_folder.File(folder));
        return LibraryBuilder.LikeLibstdcxx(5).Write(Path.Combine(_folder.File(folder), Name));
    }

    // glibc's struct cache_file_new with its entries, and the strings that they point to.
    private string Cache(params (int Flags, string Name, string Path)[] entries)
    {
        var bytes = new byte[48 + (24 * entries.Length)];
        Encoding.ASCII.GetBytes("glibc-ld.so.cache1.1").CopyTo(bytes, 0);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(20), entries.Length);
        var strings = "";
        foreach (var (entry, i) in entries.Select((entry, i) => (entry, i)))
        {
            var numbers = new[] { entry.Flags, bytes.Length + strings.Length, bytes.Length + strings.Length + entry.Name.Length + 1 };
            for (var j = 0; j < numbers.Length; j++)
                BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(48 + (24 * i) + (4 * j)), numbers[j]);
            strings += entry.Name + "\0" + entry.Path + "\0";
        }

        var path = _folder.File("ld.so.cache");
        File.WriteAllBytes(path, [.. bytes, .. Encoding.ASCII.GetBytes(strings)]);
        return path;
    }
}
