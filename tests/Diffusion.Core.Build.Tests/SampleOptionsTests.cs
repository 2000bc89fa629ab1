using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Build.Tests;

/// <summary>build.sh checks the options of the samples and prints their help before it calls dotnet.</summary>
public sealed class SampleOptionsTests : IDisposable
{
    private const string Called = "dotnet was called";

    private readonly TemporaryFolder _folder = new();

    public SampleOptionsTests()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "build.sh needs bash.");
        File.WriteAllText(_folder.File("dotnet"), $"#!/bin/sh\necho {Called} $*\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(_folder.File("dotnet"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("quickstart --steps abc", "--steps must be a whole number of at least 1, got 'abc'")]
    [InlineData("quickstart --steps=0", "--steps must be a whole number of at least 1, got '0'")]
    [InlineData("quickstart --width 18", "--width must be a whole number of at least 4 and a multiple of 4, got '18'")]
    [InlineData("quickstart --minutes soon", "--minutes must be a number of at least 0, got 'soon'")]
    [InlineData("quickstart --data cifar", "--data must be a mnist|synthetic, got 'cifar'")]
    [InlineData("quickstart --steps", "--steps needs a value")]
    [InlineData("quickstart --step 5", "unknown option '--step'")]
    [InlineData("vae-digits --hidden 400 x", "--hidden must be a whole number of at least 1, got 'x'")]
    [InlineData("latent-digits --vae-steps 1e4", "--vae-steps must be a whole number of at least 1, got '1e4'")]
    [InlineData("pretrained-digits --columns 0", "--columns must be a whole number of at least 1, got '0'")]
    public void A_wrong_option_is_refused_before_anything_is_built(string command, string message)
    {
        var (exitCode, output) = Run(command);

        exitCode.Should().Be(2);
        output.Should().Contain(message).And.NotContain(Called);
    }

    [Theory]
    [InlineData("quickstart", "--weights-only")]
    [InlineData("vae-digits", "--two-encoders")]
    [InlineData("latent-digits", "--vae-steps")]
    [InlineData("pretrained-digits", "--dpm-steps")]
    [InlineData("plots", "./build.sh plots")]
    public void Help_is_printed_before_anything_is_built(string sample, string text)
    {
        var (exitCode, output) = Run($"{sample} --help");

        exitCode.Should().Be(0);
        output.Should().Contain(text).And.NotContain(Called);
    }

    [Theory]
    [InlineData("quickstart --steps 20 --width=8 --minutes 0.5 --seed -1 --resume --output a:b --data mnist")]
    [InlineData("vae-digits --hidden 400 200 --two-encoders")]
    [InlineData("pretrained-digits --guidance 1.5 --model .")]
    public void Right_options_are_passed_on_and_the_build_is_announced(string command)
    {
        var (exitCode, output) = Run(command);

        exitCode.Should().Be(0);
        output.Should().Contain("Building samples/").And.Contain($"{Called} build").And.Contain($"-- {command[(command.IndexOf(' ') + 1)..]}");
    }

    [Theory]
    [InlineData("Quickstart")]
    [InlineData("VaeDigits")]
    [InlineData("LatentDigits")]
    [InlineData("PretrainedDigits")]
    public void The_help_files_are_those_of_the_programs(string sample)
    {
        var folder = Path.Combine(TestData.Root, "samples", sample);
        var help = File.ReadAllText(Path.Combine(folder, "help.txt"));
        var source = File.ReadAllText(Path.Combine(folder, "CommandLine.cs"));
        var options = Regex.Matches(source, "new Option<[^(]+>\\(\"(--[a-z-]+)\"\\) { Description = \"([^\"]*)\"").ToArray();

        options.Should().HaveCountGreaterThan(7);
        foreach (var option in options)
            help.Should().MatchRegex($"  {option.Groups[1].Value} .*{Regex.Escape(option.Groups[2].Value)}");
        Regex.Matches(help, "(?m)^  --(?!version)").Should().HaveCount(options.Length + Regex.Count(source, "TrainingClock.CreateOption"));
    }

    private (int ExitCode, string Output) Run(string command)
        => Dotnet.RunProgram("bash", TestData.Root, "-c", $"PATH='{_folder.Path}':$PATH ./build.sh {command}");
}
