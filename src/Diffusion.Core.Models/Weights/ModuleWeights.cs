using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The weights of a module as safetensors.</summary>
public static class ModuleWeights
{
    /// <summary>The number of parameters of a module, counted in elements.</summary>
    public static long Count(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        return module.parameters().Sum(parameter => parameter.numel());
    }

    /// <summary>The floating point type that all such tensors of a file have; null where they have several, or there are none.</summary>
    /// <param name="path">As for <see cref="Load(nn.Module, string, WeightOptions?)"/>.</param>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    public static ScalarType? TypeOf(string path)
    {
        using var set = SafetensorsSet.Open(path);
        var types = set.Names.Select(name => set[name].Dtype)
            .Where(type => type is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64)
            .Distinct()
            .ToArray();
        return types.Length == 1 ? types[0] : null;
    }

    /// <summary>Writes the state dict of a module.</summary>
    /// <exception cref="IOException">The file cannot be written; nothing remains.</exception>
    public static void Save(nn.Module module, string path, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        Safetensors.Save(path, module.state_dict(), metadata);
    }

    /// <summary>
    /// Reads weights into a module, in place: parameters keep their identity, device and type. Nothing changes unless everything fits.
    /// Needs memory for one tensor.
    /// </summary>
    /// <param name="module">The module.</param>
    /// <param name="path">
    /// A safetensors file, the index of several, or a folder with one of these; see <see cref="SafetensorsSet.Open"/>.
    /// </param>
    /// <param name="options">New names, conversions; null for the defaults.</param>
    /// <returns>The conversions that were applied.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or its names, shapes and types are not those of the module.</exception>
    public static WeightReport Load(nn.Module module, string path, WeightOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        return Load(module.state_dict(), path, options);
    }

    /// <summary>Reads weights into tensors, in place, as into the state of a module.</summary>
    /// <param name="state">Name to tensor, as from <c>Module.state_dict()</c>.</param>
    /// <param name="path">As for a module.</param>
    /// <param name="options">As for a module.</param>
    /// <inheritdoc cref="Load(nn.Module, string, WeightOptions?)"/>
    public static WeightReport Load(IReadOnlyDictionary<string, Tensor> state, string path, WeightOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var set = SafetensorsSet.Open(path);
        var match = new WeightMatch(state, set, options ?? new WeightOptions());
        match.Copy();
        return match.Report;
    }
}
