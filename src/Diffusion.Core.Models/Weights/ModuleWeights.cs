using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Saves and loads the weights of modules as safetensors.</summary>
public static class ModuleWeights
{
    /// <summary>Returns the number of parameters of a module, counted in elements.</summary>
    public static long Count(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        return module.parameters().Sum(parameter => parameter.numel());
    }

    /// <summary>
    /// Returns the common type of the floating point tensors of a file, or <see langword="null"/> if they have several types or there are
    /// none. Tensors of unknown types are ignored.
    /// </summary>
    /// <inheritdoc cref="Load(nn.Module, string, WeightOptions?)" path="/param[@name='path']"/>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    public static ScalarType? TypeOf(string path)
    {
        using var set = SafetensorsSet.Open(path);
        var types = set.Names.Select(name => set[name])
            .Where(entry => entry.Type.IsKnown)
            .Select(entry => entry.Dtype)
            .Where(type => type is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64)
            .Distinct()
            .ToArray();
        return types.Length == 1 ? types[0] : null;
    }

    /// <summary>
    /// Creates a module for the weights of a file. The sizes of the module are compared with the header of the file before memory is
    /// allocated: the layers of this library throw if they need more values or tensors than the file contains. Networks of up to 1,048,576
    /// values in up to 1,000 tensors are created in any case; <see cref="Load(nn.Module, string, WeightOptions?)"/> compares their names
    /// and shapes.
    /// </summary>
    /// <param name="path">As for <see cref="Load(nn.Module, string, WeightOptions?)"/>.</param>
    /// <param name="create">Creates the module on the current thread.</param>
    /// <param name="settings">
    /// The settings of the module, whose largest numbers the message of the exception contains. The default is none.
    /// </param>
    /// <returns>The module, without the weights of the file. The caller must dispose it.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the module is larger than its weights.</exception>
    public static TModule Create<TModule>(string path, Func<TModule> create, JsonObject? settings = null)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        using var set = SafetensorsSet.Open(path);
        using var budget = ParameterBudget.Of(set, settings);
        return create();
    }

    /// <summary>Writes the state dict of a module to a file, which replaces an existing file.</summary>
    /// <exception cref="IOException">The file cannot be written. An existing file is not changed.</exception>
    public static void Save(nn.Module module, string path, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        Safetensors.Save(path, module.state_dict(), metadata);
    }

    /// <summary>
    /// Reads weights into the existing parameters and buffers of a module, whose devices and types do not change. All names, shapes and
    /// types are checked before the first tensor is copied. Tensors are read one at a time, so that memory is needed for one tensor only.
    /// </summary>
    /// <param name="module">The module.</param>
    /// <param name="path">
    /// The path of a safetensors file, of an index of several files, or of a folder with one of these. See
    /// <see cref="SafetensorsSet.Open"/>.
    /// </param>
    /// <param name="options">
    /// The options for names, types and shapes. The default is <see langword="null"/>: a new <see cref="WeightOptions"/>.
    /// </param>
    /// <returns>The tensors that were converted, renamed or ignored.</returns>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or the names, shapes or types of its tensors do not match those of the module.
    /// </exception>
    public static WeightReport Load(nn.Module module, string path, WeightOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        return Load(module.state_dict(), path, options);
    }

    /// <summary>Reads weights into existing tensors, such as the state dict of a module.</summary>
    /// <param name="state">The tensors by name, as returned by <c>Module.state_dict()</c>.</param>
    /// <param name="path">
    /// The path of a safetensors file, of an index of several files, or of a folder with one of these. See
    /// <see cref="SafetensorsSet.Open"/>.
    /// </param>
    /// <param name="options">
    /// The options for names, types and shapes. The default is <see langword="null"/>: a new <see cref="WeightOptions"/>.
    /// </param>
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
