using System.Text.Json;
using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Writes the checkpoints of a trainer, and restores its state from them.</summary>
internal sealed class RunCheckpoints
{
    private readonly TrainingState _state;
    private readonly Func<RunIdentity> _identity;
    private readonly ILogger _logger;
    private readonly CheckpointStore? _store;

    /// <summary>
    /// The states of callbacks in the last checkpoint, by key. States of callbacks that this trainer does not have are saved again.
    /// </summary>
    private readonly SortedDictionary<string, JsonElement> _callbacks = new(StringComparer.Ordinal);

    private long _savedStep = -1;

    public RunCheckpoints(TrainingState state, Func<RunIdentity> identity, ILogger logger)
    {
        (_state, _identity, _logger) = (state, identity, logger);
        if (Options.CheckpointFolder is { } folder)
            _store = new CheckpointStore(folder, Options.EffectiveRetention, logger);
    }

    /// <summary>The folder of the run; <see langword="null"/> if there is none.</summary>
    public string? Folder => _store?.Folder;

    /// <summary>Whether the current step has been written to the folder of the run.</summary>
    public bool IsSaved => _savedStep == _state.Step;

    private TrainerOptions Options => _state.Options;

    /// <summary>Claims the folder of the run for this trainer until the result is disposed.</summary>
    /// <exception cref="RunInUseException">Another trainer has claimed the folder.</exception>
    /// <exception cref="CheckpointException">The folder cannot be created or written to.</exception>
    public IDisposable? Claim() => _store?.Claim();

    /// <inheritdoc cref="Trainer.Save(string)"/>
    public void Save(string folder) => Write((manifest, tensors) =>
    {
        Checkpoint.Write(folder, manifest, tensors, trace: operation => TrainerLog.FileOperation(_logger, operation));
        return folder;
    });

    /// <inheritdoc cref="Trainer.Save()"/>
    public string Save()
    {
        var store = _store ?? throw new InvalidOperationException("TrainerOptions.CheckpointFolder is not set; pass a folder to Save.");
        using var claim = store.Claim();
        var path = Write(store.Write);
        _savedStep = _state.Step;
        return path;
    }

    /// <summary>Resumes a trainer at step 0 from the newest checkpoint in the folder of the run, if there is one.</summary>
    /// <param name="datasetCount">The number of samples in the data set.</param>
    /// <exception cref="CheckpointException">
    /// The checkpoint is damaged, or was saved with other settings or a data set of another size.
    /// </exception>
    public void ResumeRun(long datasetCount)
    {
        if (_state.Step != 0 || _store is null)
            return;
        if (Resume(_store.Folder, datasetCount, ResumeOptions.Default))
        {
            _savedStep = _state.Step;
            return;
        }

        // A folder beside this one with checkpoints may be the one that was meant.
        var others = SimilarRuns.Beside(_store.Folder);
        if (Options.RequireCheckpoint)
            throw new CheckpointException(
                _store.Folder,
                $"there is no checkpoint to continue from, which {nameof(TrainerOptions.RequireCheckpoint)} requires"
                + (others.Length == 0 ? "." : $"; there are checkpoints in {string.Join(", ", others)}."),
                null);
        if (others.Length > 0)
            TrainerLog.StartsAnew(_logger, _store.Folder, string.Join(", ", others));
    }

    /// <summary>Restores the state from a checkpoint.</summary>
    /// <returns><see langword="true"/> if there is a checkpoint; otherwise, <see langword="false"/>.</returns>
    public bool Resume(string folder, long? datasetCount, ResumeOptions options)
    {
        return Read(folder, options, (path, manifest) =>
        {
            if (path is null)
                return false;
            Load(path, manifest!, datasetCount);
            return true;
        });
    }

    /// <inheritdoc cref="Trainer.LoadWeights"/>
    public WeightReport LoadWeights(string path, string? average, WeightOptions? options)
    {
        if (_state.Step != 0)
            throw new InvalidOperationException(
                Invariant($"Initial weights must be loaded before the first step, got step {_state.Step}."));
        using var claim = _state.Averages.Claim("load weights");
        using var scope = NewDisposeScope();

        // Loads the trained weights. The parameters of a module in lower precision are only rounded copies of them.
        var parameters = _state.Parameters;
        var weights = _state.Weights(parameters.Values);
        var report = Directory.Exists(path)
            ? Read(path, ResumeOptions.Default, (checkpoint, manifest) => ModuleWeights.Load(
                weights, checkpoint is null ? path : Path.Combine(checkpoint, FileOf(average, checkpoint, manifest!)), options))
            : ModuleWeights.Load(weights, path, options);
        parameters.Publish();
        using var gradientsOff = no_grad();
        foreach (var ema in _state.OptimizerStep.Averages)
            ema.Values.copy_(parameters.Values);
        TrainerLog.WeightsLoaded(_logger, path);
        return report;
    }

    private static string FileOf(string? average, string checkpoint, CheckpointManifest manifest)
    {
        if (average is null)
            return Checkpoint.ModelFile;
        if (manifest.Files.Any(file => file.Name == Checkpoint.AverageFileOf(average)))
            return Checkpoint.AverageFileOf(average);
        var averages = manifest.Files.Select(file => Checkpoint.AverageOf(file.Name)).OfType<string>();
        throw new CheckpointException(checkpoint, Invariant($"has no average '{average}'; it has: {string.Join(", ", averages)}."), null);
    }

    /// <summary>
    /// Finds and verifies the checkpoint of a path, and passes it to a function: <see langword="null"/> where there is none. Repeats
    /// both if a run in progress has removed the checkpoint in the meantime.
    /// </summary>
    private T Read<T>(string folder, ResumeOptions options, Func<string?, CheckpointManifest?, T> use)
    {
        for (var attempt = 1; ; attempt++)
        {
            string? current = null;
            try
            {
                var manifest = Find(folder, options, out current);
                return use(current, manifest);
            }
            catch (IOException) when (attempt < RunFolder.Attempts && current is not null && !Directory.Exists(current))
            {
            }
        }
    }

    private CheckpointManifest? Find(string folder, ResumeOptions options, out string? current)
    {
        current = Checkpoint.Readable(folder);
        if (Checkpoint.IsCheckpoint(current))
            return Checkpoint.Read(current);
        current = null;
        var all = CheckpointStore.NewestFirst(folder);
        if (all is [var newest, ..] && RunFolder.Pointed(folder) is { } named && RunFolder.StepOf(named) != newest.Step)
            TrainerLog.PointerIgnored(_logger, named, newest.Path);
        for (var i = 0; i < all.Count; i++)
        {
            try
            {
                current = all[i].Path;
                return ReadNamed(all[i]);
            }
            catch (CheckpointException e) when (i + 1 < all.Count && Directory.Exists(current))
            {
                if (!options.FallBack)
                    throw new CheckpointException(
                        Invariant($"{e.Message} The checkpoint before it is {all[i + 1].Path}."), e)
                    { Path = e.Path };
                TrainerLog.FellBack(_logger, e.Message, all[i + 1].Path);
            }
        }

        current = null;
        return null;
    }

    private static CheckpointManifest ReadNamed(CheckpointInfo checkpoint)
    {
        var manifest = Checkpoint.Read(checkpoint.Path);
        return manifest.Step == checkpoint.Step
            ? manifest
            : throw new CheckpointException(
                checkpoint.Path, Invariant($"must contain step {checkpoint.Step}, contains {manifest.Step}."), null);
    }

    private string Write(Func<CheckpointManifest, Dictionary<string, Dictionary<string, Tensor>>, string> write)
    {
        _state.RequireWhole("save");
        using var claim = _state.Averages.Claim("save");
        using var scope = NewDisposeScope();
        var (identity, optimizer) = (_identity(), _state.OptimizerStep);
        var manifest = new CheckpointManifest
        {
            Format = CheckpointManifest.FormatName,
            Version = CheckpointManifest.CurrentVersion,
            Step = _state.Step,
            Seed = Options.Seed,
            BatchSize = Options.BatchSize,
            MicroBatchSize = _state.MicroBatchSize,
            DatasetCount = _state.DatasetCount,
            SkippedSteps = optimizer.Skipped,
            SkippedInARow = optimizer.SkippedInARow,
            Schedule = identity.Schedule,
            MadeWith = Settings(identity),
            Sums = optimizer.Sums,
            Metrics = _state.Metrics,
            Callbacks = SaveCallbacks(),
            Files = [],
            Model = identity.Model?.Invoke(),
        };
        var path = write(manifest, TrainerTensors.Of(_state, identity.Timesteps));
        TrainerLog.Saved(_logger, _state.Step, path);
        return path;
    }

    private void Load(string folder, CheckpointManifest manifest, long? datasetCount)
    {
        using var claim = _state.Averages.Claim("resume");
        using var scope = NewDisposeScope();
        var (identity, optimizer) = (_identity(), _state.OptimizerStep);
        RequireSameRun(Path.Combine(folder, Checkpoint.ManifestFile), manifest, datasetCount, identity);
        TrainerTensors.Read(
            folder, manifest.Files, TrainerTensors.Of(_state, identity.Timesteps), () => LoadCallbacks(folder, manifest.Callbacks));
        _state.Parameters.Publish();
        _state.Step = manifest.Step;
        _savedStep = -1;
        _state.MicroBatchSize = Options.MicroBatchSize ?? manifest.MicroBatchSize;
        _state.DatasetCount = manifest.DatasetCount;
        optimizer.Skipped = manifest.SkippedSteps;
        optimizer.SkippedInARow = manifest.SkippedInARow;
        optimizer.Sums = manifest.Sums;
        _state.Metrics.Clear();
        foreach (var (name, metric) in manifest.Metrics)
            _state.Metrics[name] = metric;
        _state.NoteLoaded();
        TrainerLog.Resumed(_logger, _state.Step, folder);
    }

    private void RequireSameRun(string path, CheckpointManifest manifest, long? datasetCount, RunIdentity identity)
    {
        if (manifest.Version < CheckpointManifest.CurrentVersion)
            throw new CheckpointException(
                path,
                Invariant($"is of version {manifest.Version}, which kept another state of the optimizer. LoadWeights starts from ")
                + "its weights.",
                null);
        Require("seed", manifest.Seed, Options.Seed);
        Require("batch size", manifest.BatchSize, Options.BatchSize);
        if (datasetCount is { } count && manifest.DatasetCount is { } before)
            Require("size of the data set", before, count);
        if (manifest.Schedule is null != identity.Schedule is null)
            throw new CheckpointException(
                path,
                Invariant($"was saved {(manifest.Schedule is null ? "without" : "with")} a noise schedule, this trainer has ")
                + Invariant($"{(identity.Schedule is null ? "none" : "one")}."),
                null);
        if (identity.Schedule is { } schedule && manifest.Schedule!.DifferenceFrom(schedule) is { } change)
            throw new CheckpointException(path, Invariant($"was saved with another noise schedule: {change}."), null);
        if (manifest.MadeWith is { } settings && Difference(settings) is { } difference)
            throw new CheckpointException(path, Invariant($"was saved with {difference}."), null);

        string? Difference(JsonObject settings)
        {
            try
            {
                return RunIdentity.Difference(settings, Settings(identity));
            }
            catch (Exception e) when (e is InvalidOperationException or ArgumentException)
            {
                // Text that is not Unicode.
                throw new CheckpointException(path, $"has settings of the run that cannot be read: {e.Message}", e);
            }
        }

        void Require(string what, long expected, long actual)
        {
            if (expected != actual)
                throw new CheckpointException(path, Invariant($"was saved with a {what} of {expected}, this trainer has {actual}."), null);
        }
    }

    /// <summary>Returns the settings that must be the same when a run is resumed, by name.</summary>
    private JsonObject Settings(RunIdentity identity)
    {
        var settings = new JsonObject
        {
            ["network"] = NetworkRegistry.Default.TryDescribe(_state.Module),
            ["parameters"] = _state.Parameters.Dtype.ToString(),
            ["optimizer"] = Options.Optimizer.Name,
            ["averages"] = new JsonArray([.. _state.OptimizerStep.Averages.Select(average => JsonValue.Create(average.Name))]),
            ["precision"] = Options.Precision.Name,
        };
        foreach (var (name, setting) in identity.Settings)
            settings[name] = setting?.DeepClone();
        return settings;
    }

    private SortedDictionary<string, JsonElement> SaveCallbacks()
    {
        foreach (var callback in Options.Callbacks.OfType<IStatefulCallback>())
            _callbacks[callback.Key] = callback.Save();
        return _callbacks;
    }

    /// <summary>Restores the states of all callbacks, or of none.</summary>
    private void LoadCallbacks(string folder, IReadOnlyDictionary<string, JsonElement> states)
    {
        var undo = new Stack<Action>();
        foreach (var callback in Options.Callbacks.OfType<IStatefulCallback>())
        {
            if (!states.TryGetValue(callback.Key, out var state))
                continue;
            var before = callback.Save();
            try
            {
                callback.Load(state);
                undo.Push(() => callback.Load(before));
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
            {
                while (undo.TryPop(out var restore))
                    restore();
                throw new CheckpointException(
                    Path.Combine(folder, Checkpoint.ManifestFile),
                    Invariant($"the state of the callback '{callback.Key}' cannot be read: {e.Message}"),
                    e);
            }
        }

        _callbacks.Clear();
        foreach (var (key, state) in states)
            _callbacks[key] = state;
    }
}
