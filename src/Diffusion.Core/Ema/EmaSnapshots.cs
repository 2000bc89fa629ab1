using System.Globalization;
using System.Text.Json;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Stores each average with a <see cref="PowerFunctionDecay"/> at regular intervals, so that <see cref="PostHocEma"/> can reconstruct
/// averages of other widths after training.
/// </summary>
/// <remarks>
/// <para>Source: Karras et al. 2024, section 3.2, where two averages of widths 0.05 and 0.10 are stored about a hundred times in a
/// run.</para>
/// <para>A snapshot is a file <c>step-00001000-NAME.safetensors</c>, with the step and the width in its header. It is written atomically. A
/// run that is resumed from a step before a snapshot overwrites it with the same bytes.</para>
/// </remarks>
/// <param name="folder">The folder of the snapshots. It is created if it does not exist.</param>
/// <param name="every">The number of steps between snapshots, counted from the start of the run.</param>
public sealed class EmaSnapshots(string folder, long every) : TrainerCallback
{
    private readonly string _folder = Guard.NotNull(folder);
    private readonly long _every = Guard.InRange(every, 1, long.MaxValue);

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The run has no average with a <see cref="PowerFunctionDecay"/>.</exception>
    public override void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (!Profiles(run).Any())
            throw new InvalidOperationException(
                $"There are no averages to store: neither {nameof(TrainerOptions.Ema)} nor any of {nameof(TrainerOptions.ExtraEmas)} "
                + $"is an {nameof(EmaDecay)}.{nameof(EmaDecay.PowerFunction)}.");
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">A file cannot be written. No partly written file remains.</exception>
    public override void AfterStep(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Step % _every == 0)
            Save(run.Trainer.State);
    }

    private static IEnumerable<EmaWeights> Profiles(TrainingRun run)
        => run.Trainer.State.OptimizerStep.Averages.Where(average => average.Decay is PowerFunctionDecay);

    private void Save(TrainingState state)
    {
        using var claim = state.Averages.Claim("save its averages");
        using var scope = NewDisposeScope();
        var tensors = state.Module.state_dict();
        foreach (var average in state.OptimizerStep.Averages)
        {
            if (average.Decay is not PowerFunctionDecay decay)
                continue;
            var weights = state.Weights(average.Values);
            var kept = weights.Keys.Where(name => ReferenceEquals(weights[name], tensors[name]));
            var snapshot = EmaSnapshot.Of(_folder, average.Name, decay, state.Step);
            Safetensors.Save(snapshot.Path, weights, snapshot.Metadata(kept));
        }
    }
}

/// <summary>
/// A stored average: a safetensors file whose header contains the profile of the average and the number of steps in it.
/// </summary>
/// <param name="Path">The path of the file.</param>
/// <param name="Decay">The profile of the average.</param>
/// <param name="Step">The number of steps in the average.</param>
internal sealed record EmaSnapshot(string Path, PowerFunctionDecay Decay, long Step)
{
    private const string DeviationKey = "relative_standard_deviation";
    private const string GammaKey = "gamma";
    private const string StepKey = "step";
    private const string KeptKey = "not_averaged";

    /// <summary>Returns the snapshot of a named average, without writing it.</summary>
    public static EmaSnapshot Of(string folder, string name, PowerFunctionDecay decay, long step)
        => new(
            System.IO.Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"step-{step:D8}-{name}.safetensors")), decay, step);

    /// <summary>Returns all snapshots in a folder, ordered by step and width.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidDataException">A file is damaged or not a snapshot.</exception>
    public static IReadOnlyList<EmaSnapshot> List(string folder)
        => [.. DiskFile.List(folder, "step-*.safetensors").Select(Read)
            .OrderBy(snapshot => snapshot.Step).ThenBy(snapshot => snapshot.Decay.RelativeStandardDeviation)];

    /// <summary>Returns the names of the tensors in an open snapshot that are not averages: buffers and frozen parameters.</summary>
    public static IReadOnlySet<string> NotAveraged(SafetensorsFile file)
        => JsonSerializer.Deserialize<HashSet<string>>(file.Metadata[KeptKey]) ?? [];

    /// <summary>Returns the metadata in the header of the file.</summary>
    /// <param name="kept">The names of the tensors that are not averages.</param>
    public IReadOnlyDictionary<string, string> Metadata(IEnumerable<string> kept)
        => new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["format"] = "pt",
            [DeviationKey] = Decay.RelativeStandardDeviation.ToString("R", CultureInfo.InvariantCulture),
            [GammaKey] = Decay.Gamma.ToString("R", CultureInfo.InvariantCulture),
            [KeptKey] = JsonSerializer.Serialize(kept.Order(StringComparer.Ordinal)),
            [StepKey] = Step.ToString(CultureInfo.InvariantCulture),
        };

    private static EmaSnapshot Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return file.Metadata.TryGetValue(DeviationKey, out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var deviation)
            && deviation is > 0.0 and < 0.289
            && file.Metadata.TryGetValue(StepKey, out var number)
            && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var step)
            && step > 0
            && file.Metadata.ContainsKey(KeptKey)
            ? new(path, new PowerFunctionDecay(deviation), step)
            : throw new InvalidDataException(
                Invariant($"{path} must contain {DeviationKey}, {StepKey} and {KeptKey} in its header, as snapshots of averages do."));
    }
}
