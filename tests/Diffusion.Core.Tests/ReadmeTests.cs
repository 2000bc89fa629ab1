using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>The code of README.md, which is that of this file word for word, with a small network, a short run and drawn data in place of MNIST.</summary>
public class ReadmeTests
{
    [Fact]
    public void The_first_program_trains_and_saves_and_the_second_one_samples()
    {
        try
        {
            First();
            Second();
        }
        finally
        {
            File.Delete("samples.png");
            Directory.Delete("models", recursive: true);
            Directory.Delete("runs", recursive: true);
        }
    }

    [Fact]
    public void The_code_is_that_of_this_file()
    {
        var sources = File.ReadLines(Path.Combine(TestData.Root, "tests", "Diffusion.Core.Tests", $"{nameof(ReadmeTests)}.cs"))
            .Select(line => line.Trim())
            .ToHashSet();
        var isCode = false;
        var code = new List<string>();
        foreach (var line in File.ReadLines(Path.Combine(TestData.Root, "README.md")).Select(line => line.Trim()))
        {
            if (line.StartsWith("```", StringComparison.Ordinal))
                isCode = !isCode && line == "```csharp";
            else if (isCode && line.Length > 0 && line != "using Diffusion.Core;")
                code.Add(line); // That namespace is around this file.
        }

        code.Should().HaveCountGreaterThan(12).And.OnlyContain(line => sources.Contains(line));
    }

    private static void First()
    {
#pragma warning disable format, CA1305, CA2016, xUnit1051 // As in README.md.
        using var unet    = new UNet(new UNetOptions { ImageSize = 28, Channels = 1, Width = 64, Multipliers = [1, 2, 2] });
        using var model   = new DiffusionModel(unet, DiscreteSchedule.Cosine(steps: 1000));   // predicts epsilon; or your INoiseSchedule
        using var trainer = new DdpmTrainer(model, new SimpleLoss(), new TrainerOptions { BatchSize = 128, CheckpointFolder = "runs/mnist" });
        var progress      = new Progress<TrainingProgress>(report => Console.WriteLine($"step {report.Step}, loss {report.Loss:F4}"));
        trainer.Fit(Mnist.OpenOrDownload("data/mnist"), progress);                            // resumes if a checkpoint is there

        using var images  = new DdimSampler(steps: 50).Sample(trainer.Ema, shape: [64, 1, 28, 28], seed: 0);
        ImageGrid.SavePng(images, "samples.png");
        trainer.Ema.Save("models/digits");                                                    // network, schedule, prediction, data range
#pragma warning restore format, CA1305, CA2016, xUnit1051
    }

    private static void Second()
    {
#pragma warning disable format // As in README.md.
        using var digits = DiffusionModel.Load("models/digits");
        using var more   = new DiffusionSampler(new DpmMultistepSolver(), steps: 20).Sample(digits, [64, 1, 28, 28], seed: 1);
#pragma warning restore format
        more.shape.Should().Equal(64, 1, 28, 28);
        more.isfinite().all().item<bool>().Should().BeTrue();
    }

    /// <summary>The same options of a network of a few thousand parameters.</summary>
    private sealed record UNetOptions
    {
        public int ImageSize { get; init; }

        public int Channels { get; init; }

        public int Width { get; init; }

        public IReadOnlyList<int> Multipliers { get; init; } = [];

        public static implicit operator Models.UNetOptions(UNetOptions options) => new()
        {
            ImageSize = options.ImageSize,
            Channels = options.Channels,
            Width = options.Width / 16,
            GroupNormGroups = 4,
            Multipliers = [.. options.Multipliers],
            LayersPerBlock = 1,
        };
    }

    /// <summary>The same options of a run of two small steps.</summary>
    private sealed record TrainerOptions
    {
        public int BatchSize { get; init; }

        public string? CheckpointFolder { get; init; }

        public static implicit operator Core.TrainerOptions(TrainerOptions options) => new()
        {
            BatchSize = options.BatchSize / 32,
            Steps = 2,
            CheckpointFolder = options.CheckpointFolder,
        };
    }

    /// <summary>Noise in place of digits.</summary>
    private sealed class Mnist(string folder) : IDataset
    {
        public string Folder { get; } = folder;

        public static Mnist OpenOrDownload(string folder) => new(folder);

        public long Count => 16;

        public IReadOnlyList<long> SampleShape { get; } = [1, 28, 28];

        public Batch Load(ReadOnlySpan<long> indices) => new(zeros(indices.Length, 1, 28, 28));
    }
}
