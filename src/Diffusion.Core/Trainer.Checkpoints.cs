using static TorchSharp.torch;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>
    /// Writes a checkpoint: weights, averaged weights, moments, step and seed. The random draws and the position in the data follow from
    /// the last two.
    /// </summary>
    /// <param name="folder">The folder to make; a checkpoint that is already there is replaced.</param>
    /// <exception cref="CheckpointException">It cannot be written; nothing half-written stays behind.</exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        Write((manifest, tensors) =>
        {
            Checkpoint.Write(folder, manifest, tensors);
            return folder;
        });
    }

    /// <summary>
    /// Writes a checkpoint of this step to <see cref="TrainerOptions.CheckpointFolder"/>, and removes the oldest beyond those to keep.
    /// </summary>
    /// <returns>Its folder.</returns>
    /// <exception cref="InvalidOperationException">There is no such folder; or as for <see cref="Save(string)"/>.</exception>
    /// <inheritdoc cref="Save(string)" path="/exception[@cref='CheckpointException']"/>
    public string Save()
    {
        var store = _store ?? throw new InvalidOperationException("TrainerOptions.CheckpointFolder is not set; give Save a folder.");
        var path = Write(store.Write);
        _savedStep = Step;
        return path;
    }

    /// <summary>Goes back to the state of a checkpoint.</summary>
    /// <param name="folder">A checkpoint, or a folder of them, of which the newest is taken.</param>
    /// <exception cref="CheckpointException">
    /// There is none, a file is missing or damaged, or it was made with another model, schedule, seed or batch size. The message names
    /// the file, what was expected and what is there; nothing has been loaded.
    /// </exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    public void Resume(string folder)
    {
        if (!TryResume(folder))
            throw new CheckpointException(Path.GetFullPath(folder), "there is no checkpoint here.", null);
    }

    /// <summary>As <see cref="Resume(string)"/>, where there may be no checkpoint yet.</summary>
    /// <returns>False when there is none; a damaged one is an error.</returns>
    /// <inheritdoc cref="Resume(string)" path="/param"/>
    /// <inheritdoc cref="Resume(string)" path="/exception"/>
    public bool TryResume(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return Resume(folder, datasetCount: null);
    }

    private bool Resume(string folder, long? datasetCount)
    {
        if (Checkpoint.IsCheckpoint(folder))
        {
            Load(folder, datasetCount);
            return true;
        }

        var all = CheckpointStore.List(folder);
        if (all.Count == 0)
            return false;
        try
        {
            Load(all[^1], datasetCount);
        }
        catch (CheckpointException e) when (all.Count > 1)
        {
            throw new CheckpointException($"{e.Message} The checkpoint before it is {all[^2]}.", e);
        }

        return true;
    }

    private string Write(Func<CheckpointManifest, Dictionary<string, Dictionary<string, Tensor>>, string> write)
    {
        using var claim = Average.Claim("save");
        using var scope = NewDisposeScope();
        var manifest = new CheckpointManifest
        {
            Format = CheckpointManifest.FormatName,
            Version = CheckpointManifest.CurrentVersion,
            Step = Step,
            Seed = Options.Seed,
            BatchSize = Options.BatchSize,
            DatasetCount = _datasetCount,
            SkippedSteps = Engine.Skipped,
            SkippedInARow = Engine.SkippedInARow,
            Schedule = Fingerprint(),
            Files = [],
        };
        var path = write(manifest, TrainerTensors.Of(_module, Engine, LearnedTimesteps));
        LogSaved(Logger, Step, path);
        return path;
    }

    private void Load(string folder, long? datasetCount)
    {
        using var claim = Average.Claim("resume");
        using var scope = NewDisposeScope();
        var manifest = Checkpoint.Read(folder);
        var path = Path.Combine(folder, Checkpoint.ManifestFile);
        Require(path, "seed", manifest.Seed, Options.Seed);
        Require(path, "batch size", manifest.BatchSize, Options.BatchSize);
        if (datasetCount is { } count && manifest.DatasetCount is { } before)
            Require(path, "size of the data set", before, count);
        RequireSchedule(path, manifest.Schedule);
        var learned = manifest.Files.Any(file => file.Name == Checkpoint.TimestepsFile);
        if (learned != LearnedTimesteps is not null)
            throw new CheckpointException(
                path,
                $"was made with a sampler of times that {(learned ? "learns" : "does not learn")}, this trainer has the other kind.",
                null);
        TrainerTensors.Read(folder, TrainerTensors.Of(_module, Engine, LearnedTimesteps));
        Engine.Parameters.Publish();
        Step = manifest.Step;
        _datasetCount = manifest.DatasetCount;
        Engine.Skipped = _reportedSkips = manifest.SkippedSteps;
        Engine.SkippedInARow = manifest.SkippedInARow;
        Engine.TakeMeanLoss();
        LogResumed(Logger, Step, folder);
    }

    private void RequireSchedule(string path, ScheduleFingerprint? before)
    {
        var now = Fingerprint();
        if (before is null != now is null)
            throw new CheckpointException(
                path,
                $"was made {(before is null ? "without" : "with")} a noise schedule, this trainer has {(now is null ? "none" : "one")}.",
                null);
        if (now is not null && before!.DifferenceFrom(now) is { } difference)
            throw new CheckpointException(path, $"was made with another noise schedule: {difference}.", null);
    }

    private static void Require(string path, string what, long expected, long actual)
    {
        if (expected != actual)
            throw new CheckpointException(path, $"was made with a {what} of {expected}, this trainer has {actual}.", null);
    }
}
