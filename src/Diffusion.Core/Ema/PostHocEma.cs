using Diffusion.Core.Models;
using MathNet.Numerics.LinearAlgebra;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Reconstructs averages of any width after training from those that <see cref="EmaSnapshots"/> stored.</summary>
/// <remarks>
/// Source: Karras et al. 2024, section 3.2 and algorithm 3. The requested profile is the least-squares fit of the stored profiles. A width
/// between two stored widths is reconstructed accurately; a width far below the smallest stored width is less accurate.
/// </remarks>
public static class PostHocEma
{
    /// <summary>Reconstructs an average. The snapshots are read one tensor at a time, and the sums are computed in float64.</summary>
    /// <param name="folder">The folder of the snapshots.</param>
    /// <param name="relativeStandardDeviation">The width of the average to reconstruct.</param>
    /// <param name="step">
    /// The last step of the average. Later snapshots are not used. The default is <see langword="null"/>: the step of the newest snapshot.
    /// </param>
    /// <returns>The weights under the names in the state of the module, on the CPU. The caller must dispose them.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The width is not in [0.0001, 0.288].</exception>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// There are no snapshots up to the step, or they are damaged or belong to several models.
    /// </exception>
    public static Dictionary<string, Tensor> Reconstruct(string folder, double relativeStandardDeviation, long? step = null)
    {
        using var sum = new WeightedFiles(Parts(folder, relativeStandardDeviation, step));
        return sum.Names.ToDictionary(name => name, sum.Read, StringComparer.Ordinal);
    }

    /// <summary>Reconstructs an average and writes it to a safetensors file. Only one of its tensors is in memory at a time.</summary>
    /// <param name="path">The path of the file, which is written atomically.</param>
    /// <param name="folder">The folder of the snapshots.</param>
    /// <param name="relativeStandardDeviation">The width of the average to reconstruct.</param>
    /// <param name="step">The last step of the average. The default is <see langword="null"/>: the step of the newest snapshot.</param>
    /// <inheritdoc cref="Reconstruct" path="/exception"/>
    public static void Save(string path, string folder, double relativeStandardDeviation, long? step = null)
    {
        using var sum = new WeightedFiles(Parts(folder, relativeStandardDeviation, step));
        Safetensors.Write(
            path,
            sum.Names.Select(name => SafetensorsSource.Of(name, sum[name].Dtype, sum[name].Shape, () => sum.Read(name))),
            new Dictionary<string, string> { ["format"] = "pt" });
    }

    /// <summary>Reconstructs an average and copies it into a network.</summary>
    /// <param name="module">The network. It must not belong to a trainer.</param>
    /// <param name="folder">The folder of the snapshots.</param>
    /// <param name="relativeStandardDeviation">The width of the average to reconstruct.</param>
    /// <param name="step">The last step of the average. The default is <see langword="null"/>: the step of the newest snapshot.</param>
    /// <inheritdoc cref="Reconstruct" path="/exception"/>
    public static void Load(nn.Module module, string folder, double relativeStandardDeviation, long? step = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var weights = Reconstruct(folder, relativeStandardDeviation, step);
        var state = module.state_dict();
        if (!state.Keys.ToHashSet(StringComparer.Ordinal).SetEquals(weights.Keys)
            || state.FirstOrDefault(entry => !entry.Value.shape.SequenceEqual(weights[entry.Key].shape)).Key is not null)
            throw new InvalidDataException($"The names or shapes of the snapshots in {folder} are not those of the network.");
        foreach (var (name, target) in state)
            target.copy_(weights[name]);
    }

    /// <summary>Returns the coefficients of the snapshots in the sum, in the order of the snapshots.</summary>
    internal static IReadOnlyList<double> Solve(
        IReadOnlyList<(PowerFunctionDecay Decay, long Step)> stored, (PowerFunctionDecay Decay, long Step) wanted)
    {
        var matrix = Matrix<double>.Build.Dense(
            stored.Count, stored.Count, (i, j) => stored[i].Decay.Overlap(stored[i].Step, stored[j].Decay, stored[j].Step));
        var right = Vector<double>.Build.Dense(
            stored.Count, i => stored[i].Decay.Overlap(stored[i].Step, wanted.Decay, wanted.Step));
        return [.. matrix.Solve(right)];
    }

    private static IReadOnlyList<(EmaSnapshot Snapshot, double Share)> Parts(string folder, double deviation, long? step)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        var wanted = new PowerFunctionDecay(deviation);

        // Averages of the same width and step are equal: with both, the least-squares fit has no unique solution.
        var all = EmaSnapshot.List(folder).Where(snapshot => step is not { } last || snapshot.Step <= last)
            .DistinctBy(snapshot => (snapshot.Step, snapshot.Decay.RelativeStandardDeviation)).ToArray();
        if (all.Length == 0)
            throw new InvalidDataException(
                Invariant($"{folder} must hold snapshots of averages{(step is { } s ? $" up to step {s}" : "")}, it has none."));
        var shares = Solve([.. all.Select(snapshot => (snapshot.Decay, snapshot.Step))], (wanted, step ?? all[^1].Step));
        return [.. all.Zip(shares)];
    }
}

/// <summary>
/// The weighted sum of snapshots of one model, computed tensor by tensor. Tensors that are not averages are read from the last snapshot.
/// </summary>
internal sealed class WeightedFiles : IDisposable
{
    private readonly List<(SafetensorsFile File, double Share)> _files = [];
    private readonly IReadOnlySet<string> _kept;

    /// <summary>Opens the files.</summary>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or its tensors differ in name, shape or type from those of the last file.
    /// </exception>
    public WeightedFiles(IReadOnlyList<(EmaSnapshot Snapshot, double Share)> parts)
    {
        try
        {
            foreach (var (snapshot, share) in parts)
                _files.Add((SafetensorsFile.Open(snapshot.Path), share));
            foreach (var (file, _) in _files)
                RequireSame(file);
            _kept = EmaSnapshot.NotAveraged(Last);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The names of the tensors.</summary>
    public IReadOnlyList<string> Names => Last.Names;

    private SafetensorsFile Last => _files[^1].File;

    /// <summary>Returns the type and shape of a tensor.</summary>
    public SafetensorsEntry this[string name] => Last[name];

    /// <summary>Returns a tensor of the sum, in the type of the files.</summary>
    /// <returns>The tensor, on the CPU. The caller must dispose it.</returns>
    public Tensor Read(string name)
    {
        if (_kept.Contains(name))
            return Last.Read(name);
        using var scope = NewDisposeScope();
        var entry = Last[name];
        var sum = zeros([.. entry.Shape], dtype: ScalarType.Float64);
        foreach (var (file, share) in _files)
        {
            using var part = file.Read(name);
            using var wide = part.to(ScalarType.Float64);
            sum.Add_(wide, share);
        }

        return sum.to(entry.Dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (file, _) in _files)
            file.Dispose();
    }

    private void RequireSame(SafetensorsFile file)
    {
        foreach (var entry in Last.Entries)
        {
            if (!file.Contains(entry.Name) || !file[entry.Name].Shape.SequenceEqual(entry.Shape) || file[entry.Name].Dtype != entry.Dtype)
                throw new InvalidDataException(
                    Invariant($"All snapshots must be of one model: {Last.Path} has '{entry.Name}' as {entry.Dtype} ")
                    + Invariant($"[{string.Join(", ", entry.Shape)}], {file.Path} has not."));
        }
    }
}
