using System.Text.Json;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The U-Nets among the reference values, described by diffusers' config.json.</summary>
internal static class GoldenUNet
{
    /// <summary>Folders, relative to the reference values, that hold a UNet2DModel or a UNet2DConditionModel.</summary>
    public static TheoryData<string> Folders { get; } =
    [
        .. Directory.GetFiles(Path.Combine(TestData.Golden, "models"), "config.json", SearchOption.AllDirectories)
            .Where(file => ClassOf(file) is "UNet2DModel" or "UNet2DConditionModel")
            .Select(file => Path.GetRelativePath(TestData.Golden, Path.GetDirectoryName(file)!))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The network of a folder, with its weights.</summary>
    public static UNet Load(string folder)
    {
        var path = Path.Combine(TestData.Golden, folder);
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "config.json")));
        var unet = new UNet(UNetConfiguration.OptionsOf(config.RootElement));
        ModuleWeights.Load(unet, Path.Combine(path, "diffusion_pytorch_model.safetensors"));
        unet.eval();
        return unet;
    }

    /// <summary>The recorded inputs as a condition.</summary>
    public static Condition ConditionOf(IReadOnlyDictionary<string, Tensor> io)
    {
        var labels = io.GetValueOrDefault("class_labels");
        var vector = labels is { } given && given.dim() == 2 ? given : null;
        if (io.TryGetValue("text_embeds", out var text))
            vector = cat([text, io["time_ids"].to(text.dtype)], 1);
        return new()
        {
            Labels = labels is { } row && row.dim() == 1 ? row : null,
            Vector = vector,
            TimeVector = io.GetValueOrDefault("timestep_cond"),
            Sequence = io.GetValueOrDefault("encoder_hidden_states"),
            SequenceMask = io.TryGetValue("encoder_attention_mask", out var mask) ? mask.to(ScalarType.Bool) : null,
        };
    }

    private static string? ClassOf(string file)
    {
        using var config = JsonDocument.Parse(File.ReadAllText(file));
        return config.RootElement.GetProperty("_class_name").GetString();
    }
}
