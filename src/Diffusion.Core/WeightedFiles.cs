using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The weighted sum of snapshots of one model, tensor by tensor. What is not an average is as in the last.</summary>
internal sealed class WeightedFiles : IDisposable
{
    private readonly List<(SafetensorsFile File, double Share)> _files = [];
    private readonly IReadOnlySet<string> _kept;

    /// <summary>Opens the files.</summary>
    /// <exception cref="InvalidDataException">One is damaged, or has other tensors than the last.</exception>
    public WeightedFiles(IReadOnlyList<(AverageSnapshot Snapshot, double Share)> parts)
    {
        try
        {
            foreach (var (snapshot, share) in parts)
                _files.Add((SafetensorsFile.Open(snapshot.Path), share));
            foreach (var (file, _) in _files)
                RequireSame(file);
            _kept = AverageSnapshot.NotAveraged(Last);
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

    /// <summary>The type and shape of a tensor.</summary>
    public SafetensorsEntry this[string name] => Last[name];

    /// <summary>A tensor of the sum, in the type of the files; the caller's.</summary>
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
                    $"All snapshots must be of one model: {Last.Path} has '{entry.Name}' as {entry.Dtype} "
                    + $"[{string.Join(", ", entry.Shape)}], {file.Path} has not.");
        }
    }
}
