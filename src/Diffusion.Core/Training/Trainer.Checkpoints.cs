using System.Text.Json;
using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>What callbacks of the last checkpoint remembered, for those that are not here today.</summary>
    private readonly SortedDictionary<string, JsonElement> _callbacks = new(StringComparer.Ordinal);

    /// <summary>
    /// Writes a checkpoint: weights, averaged weights, the state of the optimizer, step and seed. The random draws and the position in the
    /// data follow from the last two.
    /// </summary>
    /// <param name="folder">The folder to make; a checkpoint that is already there is replaced.</param>
    /// <exception cref="CheckpointException">It cannot be written; nothing half-written stays behind.</exception>
    /// <exception cref="InvalidOperationException">
    /// The averaged weights are in use, the module's parameters were replaced, or a step ended halfway.
    /// </exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        Write((manifest, tensors) =>
        {
            Checkpoint.Write(folder, manifest, tensors, trace: operation => LogFile(Logger, operation));
            return folder;
        });
    }

    /// <summary>
    /// Writes a checkpoint of this step to <see cref="TrainerOptions.CheckpointFolder"/>, and removes those that are not to be kept.
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

    /// <summary>Goes back to the state of a checkpoint, from which the run goes on as if it had not stopped.</summary>
    /// <remarks>
    /// These may differ from the run that saved it: the number of steps, the learning rate and its schedule, decay rates of the optimizer
    /// and of averages, clipping, the size of micro-batches, the device, TF32, callbacks, how often is reported and saved, and which
    /// checkpoints are kept. These are refused: network, noise schedule, seed, batch size, size of the data set, precision, kind of
    /// optimizer, set of averages, kind of timestep sampler. To start anew from its weights, see <see cref="LoadWeights"/>.
    /// </remarks>
    /// <param name="folder">A checkpoint, or a folder of them, of which the newest is taken; see <see cref="CheckpointStore"/>.</param>
    /// <param name="fallBack">
    /// Where the newest in a folder is damaged: true to go on from the newest one that is whole, with a warning; false for an error, which
    /// names the one before it.
    /// </param>
    /// <exception cref="CheckpointException">
    /// There is none, a file is missing or damaged, or it was made with something else that may not differ. The message names
    /// the file, what was expected and what is there; nothing has been loaded.
    /// </exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    public void Resume(string folder, bool fallBack = false)
    {
        if (!TryResume(folder, fallBack))
            throw new CheckpointException(Path.GetFullPath(folder), "there is no checkpoint here.", null);
    }

    /// <summary>As <see cref="Resume(string, bool)"/>, where there may be no checkpoint yet.</summary>
    /// <returns>False when there is none; a damaged one is an error.</returns>
    /// <inheritdoc cref="Resume(string, bool)" path="/param"/>
    /// <inheritdoc cref="Resume(string, bool)" path="/exception"/>
    public bool TryResume(string folder, bool fallBack = false)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return Resume(folder, datasetCount: null, fallBack);
    }

    /// <summary>
    /// What must be the same for a run to go on, beside seed, batch size, data set and schedule, by name: a value, or an object of them.
    /// </summary>
    private protected virtual JsonObject Identity() => new()
    {
        ["network"] = NetworkRegistry.Default.TryDescribe(_module),
        ["parameters"] = Engine.Parameters.Dtype.ToString(),
        ["optimizer"] = Options.Optimizer.Name,
        ["averages"] = new JsonArray([.. Engine.Averages.Select(average => JsonValue.Create(average.Name))]),
        ["precision"] = Options.Precision.Name,
    };

    private bool Resume(string folder, long? datasetCount, bool fallBack)
    {
        var (path, manifest) = Find(folder, fallBack);
        if (path is null)
            return false;
        Load(path, manifest!, datasetCount);
        return true;
    }

    /// <summary>The checkpoint that a path names, proven whole; none where there is none.</summary>
    private (string? Path, CheckpointManifest? Manifest) Find(string folder, bool fallBack)
    {
        if (!Directory.Exists(folder))
            Checkpoint.Recover(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        if (Checkpoint.IsCheckpoint(folder))
            return (folder, Checkpoint.Read(folder));
        var all = CheckpointStore.NewestFirst(folder);
        for (var i = 0; i < all.Count; i++)
        {
            try
            {
                return (all[i].Path, ReadNamed(all[i]));
            }
            catch (CheckpointException e) when (i + 1 < all.Count)
            {
                if (!fallBack)
                    throw new CheckpointException($"{e.Message} The checkpoint before it is {all[i + 1].Path}.", e) { Path = e.Path };
                LogFellBack(Logger, e.Message, all[i + 1].Path);
            }
        }

        return (null, null);
    }

    private static CheckpointManifest ReadNamed(CheckpointInfo checkpoint)
    {
        var manifest = Checkpoint.Read(checkpoint.Path);
        return manifest.Step == checkpoint.Step
            ? manifest
            : throw new CheckpointException(checkpoint.Path, $"must hold step {checkpoint.Step}, holds {manifest.Step}.", null);
    }

    private string Write(Func<CheckpointManifest, Dictionary<string, Dictionary<string, Tensor>>, string> write)
    {
        RequireWholeState("save");
        using var claim = Average.Claim("save");
        using var scope = NewDisposeScope();
        var manifest = new CheckpointManifest
        {
            Format = CheckpointManifest.FormatName,
            Version = CheckpointManifest.CurrentVersion,
            Step = Step,
            Seed = Options.Seed,
            BatchSize = Options.BatchSize,
            MicroBatchSize = MicroBatchSize,
            DatasetCount = _datasetCount,
            SkippedSteps = Engine.Skipped,
            SkippedInARow = Engine.SkippedInARow,
            Schedule = Fingerprint(),
            MadeWith = Identity(),
            Sums = Engine.Sums,
            Metrics = _metrics,
            Callbacks = SaveCallbacks(),
            Files = [],
            Model = Describe(),
        };
        var path = write(manifest, TrainerTensors.Of(_module, Engine, LearnedTimesteps));
        LogSaved(Logger, Step, path);
        return path;
    }

    private void Load(string folder, CheckpointManifest manifest, long? datasetCount)
    {
        using var claim = Average.Claim("resume");
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder, Checkpoint.ManifestFile);
        if (manifest.Version < CheckpointManifest.CurrentVersion)
            throw new CheckpointException(
                path,
                $"is of version {manifest.Version}, which kept another state of the optimizer. LoadWeights starts from its weights.",
                null);
        Require(path, "seed", manifest.Seed, Options.Seed);
        Require(path, "batch size", manifest.BatchSize, Options.BatchSize);
        if (datasetCount is { } count && manifest.DatasetCount is { } before)
            Require(path, "size of the data set", before, count);
        RequireSchedule(path, manifest.Schedule);
        if (manifest.MadeWith is { } madeWith && RunIdentity.Difference(madeWith, Identity()) is { } difference)
            throw new CheckpointException(path, $"was made with {difference}.", null);
        var state = TrainerTensors.Of(_module, Engine, LearnedTimesteps);
        TrainerTensors.Read(folder, manifest.Files, state, () => LoadCallbacks(path, manifest.Callbacks));
        Engine.Parameters.Publish();
        Step = manifest.Step;
        _savedStep = -1;
        MicroBatchSize = Options.MicroBatchSize ?? manifest.MicroBatchSize;
        _datasetCount = manifest.DatasetCount;
        Engine.Skipped = _reportedSkips = manifest.SkippedSteps;
        Engine.SkippedInARow = manifest.SkippedInARow;
        Engine.Sums = manifest.Sums;
        _metrics.Clear();
        foreach (var (name, metric) in manifest.Metrics)
            _metrics[name] = metric;
        _torn = false;
        LogResumed(Logger, Step, folder);
    }

    private SortedDictionary<string, JsonElement> SaveCallbacks()
    {
        foreach (var callback in Options.Callbacks.OfType<IStatefulCallback>())
            _callbacks[callback.Key] = callback.Save();
        return _callbacks;
    }

    private void LoadCallbacks(string path, IReadOnlyDictionary<string, JsonElement> remembered)
    {
        foreach (var callback in Options.Callbacks.OfType<IStatefulCallback>())
        {
            try
            {
                if (remembered.TryGetValue(callback.Key, out var state))
                    callback.Load(state);
            }
            catch (JsonException e)
            {
                throw new CheckpointException(path, $"what the callback '{callback.Key}' remembers cannot be read: {e.Message}", e);
            }
        }

        _callbacks.Clear();
        foreach (var (key, state) in remembered)
            _callbacks[key] = state;
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
