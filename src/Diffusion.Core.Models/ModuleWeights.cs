using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The weights of a module as a safetensors file.</summary>
public static class ModuleWeights
{
    /// <summary>The number of parameters of a module, counted in elements.</summary>
    public static long Count(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        return module.parameters().Sum(parameter => parameter.numel());
    }

    /// <summary>Writes the state dict of a module.</summary>
    /// <exception cref="IOException">The file cannot be written; nothing stays behind.</exception>
    public static void Save(nn.Module module, string path, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        Safetensors.Save(path, module.state_dict(), metadata);
    }

    /// <summary>
    /// Reads weights into a module, in place: parameters keep their identity, device and type. Nothing changes unless the whole file fits.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is damaged, or its names and shapes are not those of the module.</exception>
    public static void Load(nn.Module module, string path)
    {
        ArgumentNullException.ThrowIfNull(module);
        using var file = SafetensorsFile.Open(path);
        var state = module.state_dict();
        Check(state, file);
        var tensors = file.ReadAll();
        try
        {
            using var guard = no_grad();
            foreach (var (name, tensor) in tensors)
                state[name].copy_(tensor);
        }
        finally
        {
            foreach (var tensor in tensors.Values)
                tensor.Dispose();
        }
    }

    private static void Check(Dictionary<string, Tensor> state, SafetensorsFile file)
    {
        var missing = state.Keys.Where(name => !file.Contains(name)).ToArray();
        var unexpected = file.Names.Where(name => !state.ContainsKey(name)).ToArray();
        if (missing.Length > 0 || unexpected.Length > 0)
            throw new InvalidDataException(
                $"{file.Path} does not hold the weights of this network: {List(missing, "missing")}, {List(unexpected, "unexpected")}.");
        foreach (var (name, tensor) in state)
        {
            var entry = file[name];
            if (!tensor.shape.AsSpan().SequenceEqual([.. entry.Shape]))
                throw new InvalidDataException(
                    $"{file.Path}: tensor '{name}' must have shape {Guard.Format(tensor.shape)}, got {Guard.Format([.. entry.Shape])}.");
        }
    }

    private static string List(string[] names, string what)
        => names.Length == 0 ? $"none {what}" : $"{names.Length} {what} ({string.Join(", ", names.Take(5))}{(names.Length > 5 ? ", ..." : "")})";
}
