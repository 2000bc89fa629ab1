using System;
using System.IO;
using System.Runtime.InteropServices;
using Diffusion.Core.Testing;
using Microsoft.Build.Framework;

namespace Diffusion.Core.Build.Tests;

/// <summary>The build task: which files it writes, and what it reports.</summary>
public sealed partial class TaskTests : IDisposable
{
    private static readonly DateTime Past = new(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc);
    private readonly TemporaryFolder _folder = new();
    private readonly BuildLog _log = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_copy_is_changed_and_the_source_is_not()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());

        Run(source, newest: 30).Should().BeTrue();

        SymbolTable.Symbols(new ElfImage(Destination)).Should().Contain("_ZNSt8ios_base4InitC1Ev@GLIBCXX_3.4");
        File.ReadAllBytes(source).Should().Equal(LibraryBuilder.LikeTorchSharp().Build());
        File.GetLastWriteTimeUtc(source).Should().Be(Past);
        _log.Messages.Should().ContainSingle().Which.Message.Should().Be($"{Destination} needs no longer: GLIBCXX_3.4.32.");
        _log.Messages[0].Importance.Should().Be(MessageImportance.Normal);
    }

    [Fact]
    public void A_second_run_does_not_write()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());
        Run(source, newest: 30);
        var bytes = File.ReadAllBytes(Destination);
        File.SetLastWriteTimeUtc(Destination, Past);

        Run(source, newest: 30).Should().BeTrue();

        File.ReadAllBytes(Destination).Should().Equal(bytes);
        File.GetLastWriteTimeUtc(Destination).Should().Be(Past);
    }

    [Fact]
    public void Other_hard_links_of_the_copy_keep_their_content()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Hard links are created with the C library of Linux.");
        var source = Source(LibraryBuilder.LikeTorchSharp());
        Directory.CreateDirectory(Path.GetDirectoryName(Destination)!);
        Link(source, Destination).Should().Be(0);

        Run(source, newest: 30).Should().BeTrue();

        File.ReadAllBytes(source).Should().Equal(LibraryBuilder.LikeTorchSharp().Build());
        File.GetLastWriteTimeUtc(source).Should().Be(Past);
        File.ReadAllBytes(Destination).Should().NotEqual(File.ReadAllBytes(source));
    }

    [Fact]
    public void The_file_itself_can_be_replaced()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());

        Run(source, newest: 30, destination: source).Should().BeTrue();

        SymbolTable.Symbols(new ElfImage(source)).Should().Contain("_ZNSt8ios_base4InitC1Ev@GLIBCXX_3.4");
        Directory.GetFiles(_folder.Path).Should().Equal(source);
    }

    [Fact]
    public void With_a_new_libstdcxx_the_copy_equals_the_source()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());

        Run(source, newest: 32).Should().BeTrue();

        File.ReadAllBytes(Destination).Should().Equal(File.ReadAllBytes(source));
    }

    [Fact]
    public void Without_libstdcxx_the_copy_equals_the_source_and_a_message_names_it()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());

        Run(source, newest: null).Should().BeTrue();

        File.ReadAllBytes(Destination).Should().Equal(File.ReadAllBytes(source));
        _log.Messages.Should().Contain(message =>
            message.Importance == MessageImportance.High && message.Message == $"No libstdc++.so.6 was found; {source} stays unchanged.");
    }

    [Fact]
    public void A_copy_for_any_system_does_not_depend_on_this_one()
    {
        Run(Source(LibraryBuilder.LikeTorchSharp()), newest: 32, anySystem: true).Should().BeTrue();

        SymbolTable.Versions(new ElfImage(Destination)).Should()
            .Contain(["libstdc++.so.6 GLIBCXX_3.4.30 weak", "libstdc++.so.6 GLIBCXX_3.4.32 weak"]);
    }

    [Fact]
    public void An_unexpected_library_is_an_error_of_the_build_and_leaves_no_file()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp("_ZSt9terminatev"));

        Run(source, newest: 30).Should().BeFalse();

        var error = _log.Errors.Should().ContainSingle().Subject;
        (error.File, error.Code).Should().Be((source, "DCTS001"));
        error.Message.Should().Be($"TorchSharpOnOlderLinux: {source}: symbols of version GLIBCXX_3.4.32: " +
            "expected _ZSt21ios_base_library_initv, found _ZSt9terminatev.");
        Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().BeEquivalentTo([source, Libstdcxx]);
    }

    [Fact]
    public void A_missing_library_is_an_error_of_the_build()
    {
        Run(_folder.File("missing.so"), newest: 30).Should().BeFalse();

        _log.Errors.Should().ContainSingle().Which.Message.Should().Contain(_folder.File("missing.so"));
    }

    [Fact]
    public void A_destination_that_cannot_be_written_is_an_error_and_leaves_no_temporary_file()
    {
        var source = Source(LibraryBuilder.LikeTorchSharp());
        Directory.CreateDirectory(Destination);

        Run(source, newest: 30).Should().BeFalse();

        _log.Errors.Should().ContainSingle();
        Directory.GetFiles(_folder.Path, "*.tmp", SearchOption.AllDirectories).Should().BeEmpty();
    }

    private string Destination => Path.Combine(_folder.Path, "obj", "libLibTorchSharp.so");

    private string Libstdcxx => Path.Combine(_folder.Path, "system", "libstdc++.so.6");

    private string Source(LibraryBuilder library)
    {
        var path = library.Write(_folder.File("source.so"));
        File.SetLastWriteTimeUtc(path, Past);
        return path;
    }

    private bool Run(string source, int? newest, bool anySystem = false, string? destination = null)
    {
        var system = Directory.CreateDirectory(Path.GetDirectoryName(Libstdcxx)!).FullName;
        if (newest is { } version)
            LibraryBuilder.LikeLibstdcxx(version).Write(Libstdcxx);
        return new MakeLibTorchSharpLoadable
        {
            BuildEngine = _log,
            Source = source,
            Destination = destination ?? Destination,
            AnySystem = anySystem,
            Paths = new LoaderPaths(system, _folder.File("none")),
        }.Execute();
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string created);
}
