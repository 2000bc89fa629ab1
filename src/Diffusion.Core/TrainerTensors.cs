using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The tensors of a trainer's state, by file and name: what a checkpoint holds, and where it is read back to.</summary>
/// <remarks>The names of the moments are PyTorch's, with the parameter's name behind them.</remarks>
internal static class TrainerTensors
{
    /// <summary>Views of the state itself; they live in the current dispose scope, or are the module's own.</summary>
    public static Dictionary<string, Dictionary<string, Tensor>> Of(
        nn.Module module, UpdateEngine engine, IAdaptiveTimestepSampler? timesteps)
    {
        var parameters = engine.Parameters;
        var optimizer = new Dictionary<string, Tensor>(StringComparer.Ordinal)
        {
            ["exp_avg_correction"] = engine.Optimizer.FirstCorrection,
            ["exp_avg_sq_correction"] = engine.Optimizer.SecondCorrection,
        };
        foreach (var slice in parameters.Slices)
        {
            optimizer[$"exp_avg.{slice.Name}"] = FlatParameters.View(engine.Optimizer.FirstMoment, slice);
            optimizer[$"exp_avg_sq.{slice.Name}"] = FlatParameters.View(engine.Optimizer.SecondMoment, slice);
        }

        var model = module.state_dict();
        var files = new Dictionary<string, Dictionary<string, Tensor>>
        {
            [Checkpoint.ModelFile] = model,
            [Checkpoint.AverageFile] = With(model, parameters, engine.Average),
            [Checkpoint.OptimizerFile] = optimizer,
        };
        if (timesteps is not null)
            files[Checkpoint.TimestepsFile] = new Dictionary<string, Tensor>(timesteps.State, StringComparer.Ordinal);
        return files;
    }

    /// <summary>Reads every file of a checkpoint into the state, or nothing at all.</summary>
    /// <exception cref="CheckpointException">
    /// A file does not fit the model; the message names the file, the tensor, what was expected and what is there.
    /// </exception>
    public static void Read(string folder, IReadOnlyList<CheckpointFile> files, Dictionary<string, Dictionary<string, Tensor>> state)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        if (state.Keys.FirstOrDefault(name => files.All(file => file.Name != name)) is { } absent)
            throw new CheckpointException(folder, $"has no {absent}, which this trainer needs.", null);
        if (files.FirstOrDefault(file => !state.ContainsKey(file.Name)) is { } surplus)
            throw new CheckpointException(folder, $"has {surplus.Name}, for which this trainer has no place.", null);
        var copies = new List<(Tensor Target, Tensor Source)>();
        foreach (var (file, targets) in state)
        {
            var sources = Checkpoint.ReadTensors(folder, file);
            Match(Path.Combine(folder, file), targets, sources);
            copies.AddRange(targets.Select(target => (target.Value, sources[target.Key])));
        }

        foreach (var (target, source) in copies)
            target.copy_(source);
    }

    /// <summary>
    /// A state dict with the trained parameters taken from another buffer. What is not in it is as in the model: buffers, frozen parameters,
    /// and second names of tied ones.
    /// </summary>
    private static Dictionary<string, Tensor> With(Dictionary<string, Tensor> model, FlatParameters parameters, Tensor buffer)
    {
        var values = parameters.Slices.ToDictionary(
            slice => slice.Name, slice => FlatParameters.View(buffer, slice), StringComparer.Ordinal);
        var firstNames = new Dictionary<Tensor, string>(ReferenceEqualityComparer.Instance);
        foreach (var (name, tensor) in model)
            firstNames.TryAdd(tensor, name);
        return model.ToDictionary(
            entry => entry.Key, entry => values.GetValueOrDefault(firstNames[entry.Value], entry.Value), StringComparer.Ordinal);
    }

    private static void Match(string path, Dictionary<string, Tensor> expected, Dictionary<string, Tensor> actual)
    {
        if (expected.Keys.FirstOrDefault(name => !actual.ContainsKey(name)) is { } missing)
            throw new CheckpointException(path, $"lacks '{missing}', which the model has.", null);
        if (actual.Keys.FirstOrDefault(name => !expected.ContainsKey(name)) is { } surplus)
            throw new CheckpointException(path, $"has '{surplus}', which the model lacks.", null);
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
