using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The tensors of the state of a trainer, by file and name, which are written to checkpoints and read from them.</summary>
/// <remarks>The names of the moments are those of PyTorch, followed by the name of the parameter.</remarks>
internal static class TrainerTensors
{
    /// <summary>
    /// Returns the tensors of the state itself, or views of them. Views belong to the current dispose scope; the other tensors belong
    /// to the module, the optimizer or the timestep sampler.
    /// </summary>
    public static Dictionary<string, Dictionary<string, Tensor>> Of(TrainingState state, IAdaptiveTimestepSampler? timesteps)
    {
        var engine = state.OptimizerStep;
        var files = new Dictionary<string, Dictionary<string, Tensor>>
        {
            [Checkpoint.ModelFile] = state.Weights(state.Parameters.Values),
            [Checkpoint.AverageFile] = state.Weights(engine.Averages[0].Values),
            [Checkpoint.OptimizerFile] = OptimizerState(engine),
        };
        foreach (var average in engine.Averages.Skip(1))
            files[Checkpoint.AverageFileOf(average.Name)] = state.Weights(average.Values);
        if (timesteps is not null)
            files[Checkpoint.TimestepsFile] = new Dictionary<string, Tensor>(timesteps.State, StringComparer.Ordinal);
        return files;
    }

    /// <summary>
    /// Returns the state dict of a module, with the trained parameters from a buffer, and buffers and frozen parameters from the
    /// module. All names of a tied parameter have the same tensor.
    /// </summary>
    public static Dictionary<string, Tensor> Weights(nn.Module module, FlatParameters parameters, Tensor buffer)
    {
        var model = module.state_dict();
        var firstNames = new Dictionary<Tensor, string>(ReferenceEqualityComparer.Instance);
        foreach (var (name, tensor) in model)
            firstNames.TryAdd(tensor, name);
        var views = parameters.Slices.ToDictionary(slice => slice.Name, slice => FlatLayout.View(buffer, slice), StringComparer.Ordinal);
        return model.ToDictionary(
            entry => entry.Key, entry => views.GetValueOrDefault(firstNames[entry.Value], entry.Value), StringComparer.Ordinal);
    }

    /// <summary>Reads all files of a checkpoint into the state. If any of them does not match, the state is not changed.</summary>
    /// <param name="folder">The folder of the checkpoint.</param>
    /// <param name="files">The files of the checkpoint.</param>
    /// <param name="state">The tensors that receive the values, by file and name.</param>
    /// <param name="whenFitting">Called when all files match, before any tensor is changed. It may throw.</param>
    /// <exception cref="CheckpointException">
    /// A file does not match the state. The message names the file, the tensor, the expected value and the actual value.
    /// </exception>
    public static void Read(
        string folder, IReadOnlyList<CheckpointFile> files, Dictionary<string, Dictionary<string, Tensor>> state, Action whenFitting)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        if (state.Keys.FirstOrDefault(name => files.All(file => file.Name != name)) is { } absent)
            throw new CheckpointException(folder, Invariant($"has no {absent}, which this trainer needs."), null);
        if (files.FirstOrDefault(file => file.Name != DiffusionModel.DescriptionFileName && !state.ContainsKey(file.Name)) is { } surplus)
            throw new CheckpointException(folder, $"has the file {surplus.Name}, which this trainer does not use.", null);
        var copies = new List<(Tensor Target, Tensor Source)>();
        foreach (var (file, targets) in state)
        {
            var sources = Checkpoint.ReadTensors(folder, file);
            Match(Path.Combine(folder, file), targets, sources);
            copies.AddRange(targets.Select(target => (target.Value, sources[target.Key])));
        }

        whenFitting();
        foreach (var (target, source) in copies)
            target.copy_(source);
    }

    private static Dictionary<string, Tensor> OptimizerState(OptimizerStep engine)
    {
        var layout = engine.Parameters.Layout;
        var state = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (var (name, tensor) in engine.Optimizer.Tensors)
        {
            if (tensor.dim() != 1 || tensor.shape[0] != layout.Length)
            {
                state[name] = tensor;
                continue;
            }

            foreach (var slice in layout.Slices)
                state[$"{name}.{slice.Name}"] = FlatLayout.View(tensor, slice);
        }

        if (engine.GradScale is { } scale)
            (state["loss_scale"], state["loss_scale_streak"]) = (scale.Value, scale.Streak);
        return state;
    }

    private static void Match(string path, Dictionary<string, Tensor> expected, Dictionary<string, Tensor> actual)
    {
        if (expected.Keys.FirstOrDefault(name => !actual.ContainsKey(name)) is { } missing)
            throw new CheckpointException(path, Invariant($"lacks '{missing}', which the model has."), null);
        if (actual.Keys.FirstOrDefault(name => !expected.ContainsKey(name)) is { } surplus)
            throw new CheckpointException(path, Invariant($"has '{surplus}', which the model lacks."), null);
        foreach (var (name, target) in expected)
        {
            var source = actual[name];
            if (source.dtype != target.dtype || !source.shape.AsSpan().SequenceEqual(target.shape))
                throw new CheckpointException(
                    path,
                    $"'{name}' must be {target.dtype} {Guard.Format(target.shape)}, is {source.dtype} {Guard.Format(source.shape)}.",
                    null);
        }
    }
}
