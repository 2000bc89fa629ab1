using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>
/// Saves grids of samples, drawn with averaged weights, during training: <c>Every.StepsAndEnd(1000, new SampleGrid(...).Run)</c>. The noise
/// is the same every time, so that the images can be compared. The results of the training are the same, bit for bit, as without the
/// samples.
/// </summary>
/// <remarks>
/// The image of step 1,000 is <c>step-00001000.png</c>. It is written completely or not at all, and then passed to the callbacks. Values
/// that are not finite are replaced by -1 (black), and do not stop the run.
/// </remarks>
public sealed class SampleGrid
{
    private readonly ISampler _sampler;
    private readonly long[] _shape;
    private readonly string _folder;

    /// <summary>Creates an action that saves samples.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="shape">
    /// [B, ...] the shape of the samples: [B, C, H, W] with C = 1 or 3, unless <see cref="ToImages"/> converts them to images.
    /// </param>
    /// <param name="folder">The folder of the images. It is created if it does not exist.</param>
    public SampleGrid(ISampler sampler, IReadOnlyList<long> shape, string folder)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        (_sampler, _shape, _folder) = (sampler, [.. shape], Path.GetFullPath(folder));
    }

    /// <summary>The name under which the images are logged. The default is <c>samples</c>.</summary>
    public string Name { get; init; } = "samples";

    /// <summary>The seed of the noise. The default is 0.</summary>
    public long Seed { get; init; }

    /// <summary>The condition, on any device. The caller must dispose it. The default is <see langword="null"/>: none.</summary>
    public Condition? Condition { get; init; }

    /// <summary>
    /// Returns the model to sample from. The default is <see langword="null"/>: the averaged weights of a <see cref="DdpmTrainer"/>. Set it
    /// for another trainer, or for guidance: <c>run => Guidance.ClassifierFree(((DdpmTrainer)run.Trainer).Ema, ...)</c>.
    /// </summary>
    public Func<TrainingRun, DiffusionModel>? Model { get; init; }

    /// <summary>
    /// Converts samples to images [B, C, H, W] in [-1, 1], for example with a decoder. The default is <see langword="null"/>: the samples
    /// are the images.
    /// </summary>
    public Func<Tensor, Tensor>? ToImages { get; init; }

    /// <summary>The number of images in a row. The default is <see langword="null"/>: the grid is as close to square as possible.</summary>
    public int? Columns { get; init; }

    /// <summary>The factor by which images are enlarged: each pixel becomes a square of this width. The default is 1.</summary>
    public int Scale { get; init; } = 1;

    /// <summary>Saves a grid of samples and passes it to the callbacks.</summary>
    /// <param name="run">The run to sample from.</param>
    /// <exception cref="InvalidOperationException">
    /// <see cref="Model"/> is <see langword="null"/>, and the trainer is not a <see cref="DdpmTrainer"/>.
    /// </exception>
    /// <exception cref="ArgumentException">The shape does not match the network, or the samples are not images.</exception>
    /// <exception cref="IOException">The image cannot be written.</exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        var path = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"step-{run.Step:D8}.png"));
        var model = Model?.Invoke(run) ?? (run.Trainer as DdpmTrainer)?.Ema ?? throw new InvalidOperationException(
            $"{run.Trainer.GetType().Name} is not a {nameof(DdpmTrainer)}; set {nameof(Model)} to the model to sample from.");
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
