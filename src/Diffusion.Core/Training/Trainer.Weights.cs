using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>
    /// Starts a new run from the weights of another: they become the weights and every average of them. Nothing else is taken over: the
    /// step stays 0, the optimizer has seen no gradient, and batch size, schedule, seed and data may be others.
    /// </summary>
    /// <param name="path">
    /// A checkpoint, or a folder of them, of which the newest is taken; or else what <see cref="SafetensorsSet.Open"/> takes: a
    /// safetensors file, a model file, the index of several, or a folder with one of these.
    /// </param>
    /// <param name="averaged">Of a checkpoint: true for its averaged weights, false for those that were being trained.</param>
    /// <param name="options">New names, conversions; null for the defaults.</param>
    /// <returns>What was done beside copying.</returns>
    /// <exception cref="CheckpointException">A checkpoint is damaged. Nothing has changed.</exception>
    /// <exception cref="FileNotFoundException">There is no such file. Nothing has changed.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or its names, shapes or types are not those of the network. Nothing has changed.
    /// </exception>
    /// <exception cref="InvalidOperationException">The trainer has taken steps, or its averaged weights are in use.</exception>
    public WeightReport LoadWeights(string path, bool averaged = true, WeightOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Step != 0)
            throw new InvalidOperationException($"Weights to start from must be loaded before the first step, got step {Step}.");
        using var claim = Average.Claim("load weights");
        using var scope = NewDisposeScope();
        if (Directory.Exists(path) && Find(path, fallBack: false).Path is { } checkpoint)
            path = Path.Combine(checkpoint, averaged ? Checkpoint.AverageFile : Checkpoint.ModelFile);
        // The weights that are trained, and not what a module that computes in lower precision sees of them.
        var report = ModuleWeights.Load(TrainerTensors.Weights(_module, Engine.Parameters, Engine.Parameters.Values), path, options);
        Engine.Parameters.Publish();
        using var gradientsOff = no_grad();
        foreach (var average in Engine.Averages)
            average.Values.copy_(Engine.Parameters.Values);
        LogWeights(Logger, path);
        return report;
    }
}
