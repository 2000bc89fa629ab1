using System;
using System.IO;
using System.Linq;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>Files that are no shared libraries for x86-64 Linux, or damaged ones.</summary>
public sealed class ElfImageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0, 0x7e, "first four bytes (1179403647: ELF): expected 1179403647, found 1179403646")]
    [InlineData(4, 1, "class and byte order (258: 64 bits, little-endian): expected 258, found 257")]
    [InlineData(5, 2, "class and byte order (258: 64 bits, little-endian): expected 258, found 514")]
    [InlineData(16, 2, "file type (3: shared library): expected 3, found 2")]
    [InlineData(18, 183, "machine (62: x86-64): expected 62, found 183")]
    public void Another_kind_of_file_is_an_error(int offset, byte value, string message)
    {
        var bytes = LibraryBuilder.LikeTorchSharp().Build();
        bytes[offset] = value;
        var path = Write(bytes);

        var read = () => new ElfImage(path);

        read.Should().Throw<InvalidDataException>().WithMessage($"{path}: {message}.");
    }

    [Fact]
    public void A_file_that_ends_too_early_is_an_error_wherever_it_ends()
    {
        var bytes = LibraryBuilder.LikeTorchSharp().Build();
        for (var length = 0; length < bytes.Length; length++)
        {
            var path = Write(bytes[..length]);
            var relink = () => LibTorchSharp.Relink(new ElfImage(path), null);
            relink.Should().Throw<InvalidDataException>($"only {length} of {bytes.Length} bytes are there").WithMessage("*expected*found*");
        }
    }

    [Theory]
    [InlineData(0xff)]
    [InlineData(0x80)]
    [InlineData(0)]
    public void A_damaged_byte_is_an_error_or_does_no_harm(byte value)
    {
        var bytes = LibraryBuilder.LikeTorchSharp().Build();
        var errors = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            var damaged = bytes.ToArray();
            damaged[i] = value;
            var path = Write(damaged);
            try
            {
                LibTorchSharp.Relink(new ElfImage(path), null);
            }
            catch (InvalidDataException)
            {
                errors++;
            }
        }

        errors.Should().BeGreaterThan(50);
    }

    [Fact]
    public void Versions_that_a_library_defines_are_read()
    {
        var image = new ElfImage(LibraryBuilder.LikeLibstdcxx(3).Write(_folder.File("libstdc++.so.6")));

        image.DefinedVersions().Should().Equal("libstdc++.so.6", "GLIBCXX_3.4", "GLIBCXX_3.4.1", "GLIBCXX_3.4.2", "GLIBCXX_3.4.3");
    }

    private string Write(byte[] bytes)
    {
        var path = _folder.File("library.so");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
