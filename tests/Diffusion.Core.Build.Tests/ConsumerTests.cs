using System;
using System.IO;
using System.Linq;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>The property TorchSharpOnOlderLinux of an application that refers to the packages.</summary>
[Trait(Category.Name, Category.Long)]
public sealed class ConsumerTests(ConsumerTests.Fixture fixture) : IClassFixture<ConsumerTests.Fixture>
{
    private const string Sampled = "sampled 4 points";
    private static readonly string Library = Path.Combine("runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    private ConsumerApplication Application => fixture.Application.Value;

    [Fact]
    public void The_application_samples_and_prints_nothing_else()
    {
        Application.Succeed("run").Trim().Should().Be(Sampled);
    }

    [Fact]
    public void A_second_build_leaves_the_library_alone()
    {
        Application.Succeed("build");
        var before = Directory.GetFiles(Application.Folder, "libLibTorchSharp.so", SearchOption.AllDirectories)
            .ToDictionary(file => file, File.GetLastWriteTimeUtc);

        Application.Succeed("build");

        before.Should().HaveCountGreaterThanOrEqualTo(2);
        foreach (var (file, time) in before)
            File.GetLastWriteTimeUtc(file).Should().Be(time, file);
    }

    [Fact]
    public void A_published_application_samples()
    {
        Application.Succeed("publish", "-o", "published");

        var (exitCode, output) = Dotnet.Run(Application.Folder, Path.Combine("published", "App.dll"));

        (exitCode, output.Trim()).Should().Be((0, Sampled));
    }

    [Theory]
    [InlineData("")]
    [InlineData("-p:PublishSingleFile=true")]
    public void A_published_application_for_one_runtime_samples(string option)
    {
        string[] options = option == "" ? [] : [option];
        Application.Succeed(["publish", "-r", "linux-x64", "--self-contained", "false", "-o", "runtime" + options.Length, .. options]);

        var (exitCode, output) = Dotnet.RunProgram(Path.Combine(Application.Folder, "runtime" + options.Length, "App"), Application.Folder);

        (exitCode, output.Trim()).Should().Be((0, Sampled));
    }

    [Fact]
    public void Without_the_property_the_library_is_the_one_of_the_package()
    {
        Application.Succeed("build", "-c", "Without", "-p:TorchSharpOnOlderLinux=false");
        var original = Path.Combine(AppContext.BaseDirectory, Library);
        var output = Path.Combine(Application.Folder, "bin", "Without", "net10.0");

        File.ReadAllBytes(Path.Combine(output, Library)).SequenceEqual(File.ReadAllBytes(original)).Should().BeTrue();

        var loader = LoaderPaths.OfThisSystem().Find(LibraryBuilder.Libstdcxx);
        if (loader is not null && !new ElfImage(loader).DefinedVersions().Contains("GLIBCXX_3.4.32"))
        {
            var (exitCode, message) = Dotnet.Run(Application.Folder, Path.Combine(output, "App.dll"));
            exitCode.Should().NotBe(0);
            message.Should().Contain("DllNotFoundException").And.Contain("version `GLIBCXX_3.4.32' not found");
        }
    }

    [Fact]
    public void Output_for_another_system_needs_nothing_that_GCC_11_lacks()
    {
        Application.Succeed("build", "-c", "Always", "-p:TorchSharpOnOlderLinux=always");

        var image = new ElfImage(Path.Combine(Application.Folder, "bin", "Always", "net10.0", Library));

        SymbolTable.Versions(image).Should().Contain(["libstdc++.so.6 GLIBCXX_3.4.30 weak", "libstdc++.so.6 GLIBCXX_3.4.32 weak"]);
    }

    [Fact]
    public void An_unknown_value_of_the_property_is_an_error()
    {
        var build = () => Application.Succeed("build", "-p:TorchSharpOnOlderLinux=maybe");

        build.Should().Throw<InvalidOperationException>()
            .WithMessage("*DCTS002: TorchSharpOnOlderLinux is 'maybe'; expected 'true', 'always' or 'false'.*");
    }

    /// <summary>One application for all tests. It is created in a test, so that a test can be skipped.</summary>
    public sealed class Fixture : IDisposable
    {
        public Lazy<ConsumerApplication> Application { get; } = new(() => new ConsumerApplication());

        public void Dispose()
        {
            if (Application.IsValueCreated)
                Application.Value.Dispose();
        }
    }
}
