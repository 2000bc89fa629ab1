using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>
/// Draws samples with averaged weights while a network is trained: <c>Every.StepsAndEnd(1000, new SampleGrid(...).Run)</c>. The
/// noise is the same each time, so that the pictures compare; what comes after is the same, bit for bit, as without them.
/// </summary>
/// <remarks>
/// Writes <c>step-00001000.png</c> for step 1,000, each whole or not at all, and shows it to the other callbacks. What is not finite
/// is black, and ends no run.
/// </remarks>
public sealed class SampleGrid
{
    private readonly ISampler _sampler;
    private readonly long[] _shape;
    private readonly string _folder;

    /// <summary>Pictures of a sampler's samples.</summary>
    /// <param name="sampler">How to sample.</param>
    /// <param name="shape">
    /// [B, ...] what to sample: [B, C, H, W] with C = 1 or 3, unless <see cref="ToImages"/> converts it to images.
    /// </param>
    /// <param name="folder">The folder of the images, created where it is missing.</param>
    public SampleGrid(ISampler sampler, IReadOnlyList<long> shape, string folder)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        (_sampler, _shape, _folder) = (sampler, [.. shape], Path.GetFullPath(folder));
    }

    /// <summary>By what name the pictures are shown: <c>samples</c>.</summary>
    public string Name { get; init; } = "samples";

    /// <summary>Decides the noise: 0.</summary>
    public long Seed { get; init; }

    /// <summary>The condition, on any device. The caller must dispose it. The default is <see langword="null"/>.</summary>
    public Condition? Condition { get; init; }

    /// <summary>
    /// From the run to what is sampled from: the averaged weights of a <see cref="DdpmTrainer"/> where null. For another trainer, or to
    /// guide: <c>run => Guidance.ClassifierFree(((DdpmTrainer)run.Trainer).Ema, ...)</c>.
    /// </summary>
    public Func<TrainingRun, DiffusionModel>? Model { get; init; }

    /// <summary>From samples to images [B, C, H, W] in [-1, 1], as a decoder's; the samples themselves where null.</summary>
    public Func<Tensor, Tensor>? ToImages { get; init; }

    /// <summary>Images in a row; as square a grid as possible where null.</summary>
    public int? Columns { get; init; }

    /// <summary>Each pixel becomes a square of so many: 1.</summary>
    public int Scale { get; init; } = 1;

    /// <summary>Draws a picture, and shows it.</summary>
    /// <exception cref="InvalidOperationException">The trainer is of another kind, and <see cref="Model"/> is null.</exception>
    /// <exception cref="ArgumentException">The shape does not fit the network, or the samples are no images.</exception>
    /// <exception cref="IOException">The picture cannot be written.</exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        var path = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"step-{run.Step:D8}.png"));
        var model = Model?.Invoke(run) ?? (run.Trainer as DdpmTrainer)?.Ema ?? throw new InvalidOperationException(
            $"{run.Trainer.GetType().Name} has no model that is known here; set {nameof(Model)}.");
        using (no_grad())
        using (NewDisposeScope())
        {
            using var told = Condition?.To(run.Trainer.Device);
            var samples = _sampler.Sample(model, _shape, Seed, told);
            var images = ToImages?.Invoke(samples) ?? samples;
            ImageGrid.SavePng(where(images.isfinite(), images, images.FullLike(-1.0)), path, Columns, scale: Scale);
        }

        run.LogImage(Name, path);
    }
}
