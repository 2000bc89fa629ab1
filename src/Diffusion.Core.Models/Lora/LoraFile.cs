using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Reads and writes the files of adapters. As in files that diffusers writes with PEFT, the tensors are named
/// <c>{prefix}.{layer}.lora_A.weight</c> and <c>{prefix}.{layer}.lora_B.weight</c>, and the entry <c>lora_adapter_metadata</c> of the
/// metadata is a JSON object with <c>{prefix}.r</c>, <c>{prefix}.lora_alpha</c> and other values. The tensors
/// <c>{prefix}.{layer}.lora.down.weight</c>, <c>{prefix}.{layer}.lora.up.weight</c> and <c>{prefix}.{layer}.alpha</c> of older files are
/// also read.
/// </summary>
internal static class LoraFile
{
    private const string MetadataKey = "lora_adapter_metadata";

    private static readonly string[] _downNames = [".lora_A.weight", ".lora.down.weight"];
    private static readonly string[] _upNames = [".lora_B.weight", ".lora.up.weight"];
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true, NewLine = "\n" };

    /// <inheritdoc cref="LoraAdapter.Save"/>
    public static void Save(LoraAdapter adapter, string path, string? prefix)
    {
        var start = Start(prefix);
        var tensors = adapter.Layers.SelectMany(layer => new KeyValuePair<string, Tensor>[]
        {
            new(start + layer.Key + _downNames[0], layer.Value.Down),
            new(start + layer.Key + _upNames[0], layer.Value.Up),
        });
        Safetensors.Save(path, tensors, new Dictionary<string, string>
        {
            ["format"] = "pt",
            [MetadataKey] = Describe(adapter, start).ToJsonString(_indented),
        });
    }

    /// <inheritdoc cref="LoraAdapter.Load"/>
    public static LoraAdapter Load(nn.Module network, string path, string? prefix, string name)
    {
        using var file = SafetensorsFile.Open(path);
        var start = Start(prefix);
        var described = Metadata(file);
        var candidates = LoraAdapter.Candidates(network);
        var targets = new Dictionary<string, (int, double)>(StringComparer.Ordinal);
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (var tensor in file.Names.Where(tensor => tensor.StartsWith(start, StringComparison.Ordinal)))
        {
            if (Array.Find(_downNames, end => tensor.EndsWith(end, StringComparison.Ordinal)) is not { } end)
                continue;
            var layer = tensor[start.Length..^end.Length];
            if (!candidates.TryGetValue(layer, out var candidate))
                throw new InvalidDataException(
                    Invariant($"{path}: '{tensor}' must belong to a layer of the network; there is no '{layer}'."));
            var up = start + layer + _upNames[Array.IndexOf(_downNames, end)];
            var rank = CheckShapes(file, tensor, up, LoraLayer.WeightOf(candidate).shape);
            if (!targets.TryAdd(layer, (rank, Alpha(file, described, start, layer, rank))))
                throw new InvalidDataException(
                    Invariant($"{path}: the layer '{layer}' must have one pair of factors, '{tensor}' is another."));
            known.UnionWith([tensor, up, start + layer + ".alpha"]);
        }

        if (file.Names.FirstOrDefault(n => n.StartsWith(start, StringComparison.Ordinal) && !known.Contains(n)) is { } unknown)
            throw new InvalidDataException(Invariant($"{path}: expected pairs of factors, got the tensor '{unknown}' as well."));
        if (targets.Count == 0)
            throw new InvalidDataException(
                Invariant($"{path}: expected tensors whose names begin with '{start}', got {string.Join(", ", file.Names.Take(5))}."));
        var dropout = ForeignJson.NumberOf(described?[start + "lora_dropout"]) is { } p and >= 0 and < 1 ? p : 0;
        var adapter = LoraAdapter.Inject(network, targets, dropout, name);
        try
        {
            using var gradientsOff = no_grad();
            foreach (var (layer, factors) in adapter.Layers)
            {
                Fill(file, factors.Down, start + layer, _downNames);
                Fill(file, factors.Up, start + layer, _upNames);
            }

            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    private static string Start(string? prefix) => string.IsNullOrEmpty(prefix) ? "" : prefix + ".";

    private static JsonObject Describe(LoraAdapter adapter, string start)
    {
        var rank = MostCommon(adapter.Layers.Values.Select(layer => layer.Rank));
        var alpha = MostCommon(adapter.Layers.Values.Select(layer => layer.Alpha));
        var values = new SortedDictionary<string, JsonNode?>(StringComparer.Ordinal)
        {
            ["alpha_pattern"] = Differing(
                adapter.Layers.Where(layer => layer.Value.Alpha != alpha), layer => JsonValue.Create(layer.Alpha)),
            ["lora_alpha"] = alpha,
            ["lora_dropout"] = adapter.Dropout,
            ["peft_type"] = "LORA",
            ["r"] = rank,
            ["rank_pattern"] = Differing(adapter.Layers.Where(layer => layer.Value.Rank != rank), layer => JsonValue.Create(layer.Rank)),
            ["target_modules"] = new JsonArray([.. adapter.Targets.Select(target => (JsonNode?)JsonValue.Create(target))]),
        };
        return new JsonObject(values.Select(pair => new KeyValuePair<string, JsonNode?>(start + pair.Key, pair.Value)));
    }

    private static T MostCommon<T>(IEnumerable<T> values)
        => values.GroupBy(value => value).OrderByDescending(group => group.Count()).First().Key;

    private static JsonObject Differing(IEnumerable<KeyValuePair<string, LoraLayer>> layers, Func<LoraLayer, JsonNode?> value)
        => new(layers.Select(layer => new KeyValuePair<string, JsonNode?>(layer.Key, value(layer.Value))));

    private static JsonObject? Metadata(SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue(MetadataKey, out var json))
            return null;
        try
        {
            return ForeignJson.ParseObject(json);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(Invariant($"{file.Path}: {MetadataKey} {e.Message}"), e);
        }
    }

    private static double Alpha(SafetensorsFile file, JsonObject? described, string start, string layer, int rank)
    {
        if (file.Contains($"{start}{layer}.alpha"))
        {
            using var stored = file.Read($"{start}{layer}.alpha");
            if (stored.numel() != 1)
                throw new InvalidDataException(
                    Invariant($"{file.Path}: '{start}{layer}.alpha' must hold one number, got shape {Guard.Format(stored.shape)}."));
            using var wide = stored.to(ScalarType.Float64);
            var own = wide.item<double>();
            return double.IsFinite(own)
                ? own
                : throw new InvalidDataException(Invariant($"{file.Path}: '{start}{layer}.alpha' must be finite, got {own}."));
        }

        var value = (described?[start + "alpha_pattern"] as JsonObject)?[layer] ?? described?[start + "lora_alpha"];
        if (value is null)
            return rank;
        return ForeignJson.NumberOf(value) is { } alpha && double.IsFinite(alpha)
            ? alpha
            : throw new InvalidDataException(
                Invariant($"{file.Path}: alpha of '{layer}' must be a number, got {ForeignJson.Show(value)}."));
    }

    private static int CheckShapes(SafetensorsFile file, string down, string up, long[] weight)
    {
        if (!file.Contains(up))
            throw new InvalidDataException(Invariant($"{file.Path}: '{down}' needs '{up}', which is missing."));
        var (a, b) = (file[down].Shape, file[up].Shape);
        long[] expectedDown = [-1, .. weight[1..]];
        var rank = a.Count > 0 ? a[0] : 0;
        long[] expectedUp = [weight[0], rank, .. Enumerable.Repeat(1L, weight.Length - 2)];
        if (rank < 1 || rank > int.MaxValue || !a.Skip(1).SequenceEqual(weight[1..]) || !b.SequenceEqual(expectedUp))
            throw new InvalidDataException(
                Invariant($"{file.Path}: '{down}' and '{up}' must have shapes {Guard.Format(expectedDown)} and ")
                + Invariant($"{Guard.Format(expectedUp)}, ")
                + $"got {Guard.Format([.. a])} and {Guard.Format([.. b])}.");
        return (int)rank;
    }

    private static void Fill(SafetensorsFile file, Tensor target, string name, string[] ends)
    {
        using var stored = file.Read(name + Array.Find(ends, end => file.Contains(name + end)));
        target.copy_(stored);
    }
}
