using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Saves and loads a <see cref="DiffusionModel"/> as a folder with a description, <c>model.json</c>, and the weights as safetensors.
/// Checkpoints of trainers are folders of the same form.
/// </summary>
internal static class SavedModel
{
    private const string FileName = DiffusionModel.DescriptionFileName;

    // The weights of a model that was not saved in a checkpoint.
    private const string WeightsFileName = "model.safetensors";

    private const string FormatName = "diffusion_core.model";
    private const int Version = 1;
    private const string Unbounded = "unbounded";

    private static readonly string[] _keys =
    [
        "format", "version", "network", "schedule", "prediction", "learns_variance", "data_range", "null_label", "weights", "metadata",
    ];

    /// <summary>Returns the description of a model as indented JSON.</summary>
    /// <param name="model">The model.</param>
    /// <param name="format">The known classes.</param>
    /// <param name="weights">The name of the file with the weights.</param>
    public static string Describe(DiffusionModel model, ModelFormat format, string weights)
    {
        var network = Core(model.Network);
        var description = new JsonObject
        {
            ["format"] = FormatName,
            ["version"] = Version,
            ["network"] = format.Describe(network as nn.Module, network.GetType().Name),
            ["prediction"] = ModelFormat.Describe(model.Prediction),
            ["learns_variance"] = model.LearnsVariance,
            ["data_range"] = model.DataRange is not { } range ? null : RangeNode(range),
            ["null_label"] = model.NullLabel,
            ["weights"] = weights,
            ["metadata"] = new JsonObject(model.Metadata.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
            ["schedule"] = format.Describe(model.Schedule),
        };
        return description.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n";
    }

    /// <summary>Writes a model to a folder. Either all files are written or none.</summary>
    /// <exception cref="NotSupportedException">The network has no weights.</exception>
    public static void Save(DiffusionModel model, string folder, ModelFormat format)
    {
        var module = (Core(model.Network) as ITrainableDenoiser)?.Module ?? throw new NotSupportedException(
            $"{Core(model.Network).GetType().Name} has no weights to save, because it does not implement {nameof(ITrainableDenoiser)}.");
        var description = Describe(model, format, WeightsFileName);
        using var staged = new StagedFolder(folder);
        using (model.BeginInference())
            ModuleWeights.Save(module, Path.Combine(staged.Path, WeightsFileName), new Dictionary<string, string> { ["format"] = "pt" });
        AtomicFile.Write(Path.Combine(staged.Path, FileName), stream => stream.Write(Encoding.UTF8.GetBytes(description)));
        staged.Commit();
    }

    /// <summary>Reads a model from a folder.</summary>
    /// <param name="folder">A saved model, a checkpoint, or a folder of checkpoints, of which the newest is read.</param>
    /// <param name="network">
    /// The network to load the weights into, or <see langword="null"/> to create the network from the description.
    /// </param>
    /// <param name="device">The device of a network that is created. The default is the CPU.</param>
    /// <param name="format">The known classes.</param>
    public static DiffusionModel Load(string folder, IDenoiser? network, Device? device, ModelFormat format)
    {
        for (var attempt = 1; ; attempt++)
        {
            var current = Newest(folder);
            try
            {
                return LoadFrom(current, network, device, format);
            }
            catch (IOException) when (attempt < RunFolder.Attempts && current != folder && !Directory.Exists(current))
            {
                // The run that writes to the folder has removed this checkpoint in the meantime; there is a newer one.
            }
        }
    }

    /// <summary>The network without the wrappers that do not change what it computes in an inference scope.</summary>
    public static IDenoiser Core(IDenoiser network)
    {
        while (network is DelegatingDenoiser { IsTransparent: true } wrapper)
            network = wrapper.Inner;
        return network;
    }

    private static DiffusionModel LoadFrom(string folder, IDenoiser? network, Device? device, ModelFormat format)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new FileNotFoundException(Invariant($"There is no model in '{folder}': {FileName} is missing."), path);
        try
        {
            return Load(Parse(DiskFile.ReadText(path)), folder, network, device, format);
        }
        catch (Exception e) when (
            e is JsonException or InvalidOperationException or FormatException or ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    private static DiffusionModel Load(JsonObject description, string folder, IDenoiser? network, Device? device, ModelFormat format)
    {
        var schedule = format.CreateSchedule(ForeignJson.Object(description, "schedule"));
        var prediction = format.CreatePrediction(ForeignJson.Object(description, "prediction"));
        var weights = ForeignJson.Text(description, "weights");
        if (Path.GetFileName(weights) != weights || weights is "" or "." or "..")
            throw new JsonException(Invariant($"'weights' must be the name of a file in the folder, got '{weights}'"));
        var path = Path.Combine(folder, weights);
        var (metadata, range) = (Metadata(description), RangeOf(description["data_range"]));
        var learnsVariance = ForeignJson.Flag(description, "learns_variance");
        var nullLabel = description["null_label"] is not { } label ? (long?)null
            : ForeignJson.WholeOf(label) ?? throw ForeignJson.Unexpected(description, "null_label", "a whole number or null");

        // Last, so that a network is created or changed only if everything else can be read.
        var owned = network is null ? Create(description, path, device, format) : null;
        if (owned is null)
            LoadInto(network!, description, path, format);
        return new DiffusionModel(network ?? (IDenoiser)owned!, schedule, prediction, owned)
        {
            LearnsVariance = learnsVariance,
            DataRange = range,
            NullLabel = nullLabel,
            Metadata = metadata,
        };
    }

    /// <summary>Creates the network of a description, with the weights of a file. If this fails, the network is disposed.</summary>
    private static nn.Module Create(JsonObject description, string path, Device? device, ModelFormat format)
    {
        var saved = ForeignJson.Object(description, "network");
        var module = ModuleWeights.Create(path, () => Described(saved, format), saved);
        try
        {
            if (module is not IDenoiser)
                throw new JsonException($"the network must implement {nameof(IDenoiser)}, got {module.GetType().Name}");
            if (ModuleWeights.TypeOf(path) is { } common && common != ScalarType.Float32)
                module = module.to(common);
            ModuleWeights.Load(module, path);
            if (device is not null && device.type != DeviceType.CPU)
                module = module.to(device);
            module.eval();
            return module;
        }
        catch
        {
            module.Dispose();
            throw;
        }
    }

    /// <summary>A network as it is described. The exceptions for its options become those of the description.</summary>
    private static nn.Module Described(JsonObject description, ModelFormat format)
    {
        try
        {
            return format.CreateNetwork(description);
        }
        catch (InvalidDataException e)
        {
            throw new JsonException(e.Message, e);
        }
    }

    private static void LoadInto(IDenoiser network, JsonObject description, string path, ModelFormat format)
    {
        var core = Core(network);
        var module = (core as ITrainableDenoiser)?.Module ?? throw new NotSupportedException(
            $"{core.GetType().Name} has no weights to load, because it does not implement {nameof(ITrainableDenoiser)}.");
        var (saved, given) = (ForeignJson.Object(description, "network"), format.Describe(core as nn.Module, core.GetType().Name));
        if (saved["options"] is not null && given["options"] is not null && !JsonNode.DeepEquals(saved, JsonNode.Parse(given.ToJsonString())))
            throw new JsonException($"the network must be {saved.ToJsonString()}, got {given.ToJsonString()}");
        ModuleWeights.Load(module, path);
    }

    private static JsonObject Parse(string json)
    {
        var description = ForeignJson.ParseObject(json);
        if (ForeignJson.TextOf(description["format"]) is not FormatName || ForeignJson.WholeOf(description["version"]) is not Version)
            throw new JsonException(
                Invariant($"must have the format {FormatName} and the version {Version}, got ")
                + Invariant($"{ForeignJson.Show(description["format"])} and ")
                + ForeignJson.Show(description["version"]));
        if (description.FirstOrDefault(pair => !_keys.Contains(pair.Key)).Key is { } unknown)
            throw new JsonException(Invariant($"there is no setting '{unknown}'; there are: {string.Join(", ", _keys)}"));
        return description;
    }

    private static Dictionary<string, string> Metadata(JsonObject description)
    {
        var metadata = description["metadata"] is null ? [] : ForeignJson.Object(description, "metadata");
        return metadata.ToDictionary(
            pair => pair.Key, pair => pair.Value is null ? "" : ForeignJson.Text(metadata, pair.Key), StringComparer.Ordinal);
    }

    private static JsonNode RangeNode(DataRange range) => range.IsBounded
        ? new JsonArray(Finite(range.Min), Finite(range.Max))
        : JsonValue.Create(Unbounded);

    // JSON cannot represent infinity, so that an infinite bound is written as null.
    private static JsonNode? Finite(double value) => double.IsFinite(value) ? value : null;

    private static DataRange? RangeOf(JsonNode? node) => node switch
    {
        null => null,
        _ when ForeignJson.TextOf(node) == Unbounded => DataRange.Unbounded,
        JsonArray { Count: 2 } pair when pair.All(bound => bound is null || ForeignJson.NumberOf(bound) is not null) => new DataRange(
            ForeignJson.NumberOf(pair[0]) ?? double.NegativeInfinity, ForeignJson.NumberOf(pair[1]) ?? double.PositiveInfinity),
        _ => throw new JsonException(Invariant($"'data_range' must be null, \"{Unbounded}\" or two numbers, got {ForeignJson.Show(node)}")),
    };

    private static string Newest(string folder)
        => File.Exists(Path.Combine(folder, FileName)) ? folder : RunFolder.Latest(folder) ?? folder;
}
