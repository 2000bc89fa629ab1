using System;
using System.IO;
using System.Text.RegularExpressions;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>An application outside the repository that refers to the packages of the repository.</summary>
public sealed class ConsumerApplication : IDisposable
{
    private const string Version = "0.0.0-consumer";
    private static readonly string[] Packages = ["Schedules", "Models", "Losses", "Samplers"];
    private readonly TemporaryFolder _folder = new();

    /// <summary>Creates the packages and the application, and restores it. Skips the running test where a feed cannot be reached.</summary>
    public ConsumerApplication()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.Is64BitOperatingSystem, "The property has an effect on Linux only.");
        foreach (var package in Packages)
            Pack($"Diffusion.Core.{package}");
        Pack("Diffusion.Core");
        Directory.CreateDirectory(Folder);
        var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } chosen
            ? chosen
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        var versions = File.ReadAllText(Path.Combine(TestData.Root, "Directory.Packages.props"));
        var libtorch = Regex.Match(versions, "<LibTorchVersion>(.+)</LibTorchVersion>").Groups[1].Value;
        // The packages of this run go into a folder of their own; the others, libtorch above all, are in the user's folder.
        File.WriteAllText(Path.Combine(Folder, "nuget.config"), $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="../packages" /></config>
              <packageSources><add key="built" value="../feed" /></packageSources>
              <fallbackPackageFolders><add key="user" value="{cache}" /></fallbackPackageFolders>
            </configuration>
            """);
        File.WriteAllText(Path.Combine(Folder, "App.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <InvariantGlobalization>true</InvariantGlobalization>
                <!-- libtorch is half a gigabyte in each output folder. -->
                <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
                <CreateHardLinksForPublishFilesIfPossible>true</CreateHardLinksForPublishFilesIfPossible>
                <TorchSharpOnOlderLinux Condition="'$(TorchSharpOnOlderLinux)' == ''">true</TorchSharpOnOlderLinux>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Diffusion.Core" Version="{Version}" />
                <PackageReference Include="libtorch-cpu-linux-x64" Version="{libtorch}" />
              </ItemGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(Folder, "Program.cs"), """
            using Diffusion.Core.Models;
            using Diffusion.Core.Samplers;
            using Diffusion.Core.Schedules;

            using var network = new MlpDenoiser(new MlpDenoiserOptions { Features = 2, Width = 16 });
            using var model = new DiffusionModel(network, DiscreteSchedule.Cosine(steps: 100));
            using var points = new DdimSampler(steps: 5).Sample(model, shape: [4, 2], seed: 0);
            System.Console.WriteLine($"sampled {points.shape[0]} points");
            """);
        Succeed("restore", "-r", "linux-x64");
    }

    /// <summary>The folder of the application's project.</summary>
    public string Folder => _folder.File("app");

    public void Dispose() => _folder.Dispose();

    /// <summary>Runs dotnet in <see cref="Folder"/>; a failure is an error with the command's output.</summary>
    public string Succeed(params string[] arguments)
    {
        var (exitCode, output) = Dotnet.Run(Folder, arguments);
        Require(exitCode, output, string.Join(' ', arguments));
        return output;
    }

    private void Pack(string project)
    {
        var (exitCode, output) = Dotnet.Run(TestData.Root, "pack", Path.Combine("src", project), "-c", "Release", "--artifacts-path",
            _folder.File("artifacts"), "-o", _folder.File("feed"), $"-p:Version={Version}", "-p:RunAnalyzers=false", "-tl:off");
        Require(exitCode, output, $"pack {project}");
    }

    private static void Require(int exitCode, string output, string command)
    {
        var unreachable = Regex.Match(output, "error NU(1101|1102|1301): .*");
        Assert.SkipWhen(unreachable.Success, $"The packages cannot be restored here: {unreachable.Value}");
        if (exitCode != 0)
            throw new InvalidOperationException($"dotnet {command}: expected exit code 0, found {exitCode}.\n{output}");
    }
}
