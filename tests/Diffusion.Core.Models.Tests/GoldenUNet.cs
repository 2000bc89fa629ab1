using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The U-Nets among the reference values.</summary>
internal static class GoldenUNet
{
    /// <summary>The recorded inputs as a condition.</summary>
    public static Condition ConditionOf(IReadOnlyDictionary<string, Tensor> io)
    {
        var labels = io.GetValueOrDefault("class_labels");
        var vector = labels is { } given && given.dim() == 2 ? given : null;
        if (io.TryGetValue("text_embeds", out var text))
            vector = cat([text, io["time_ids"].to(text.dtype)], 1);
        return Condition.Create(
            labels: labels is { } row && row.dim() == 1 ? row : null,
            vector: vector,
            timestepCondition: io.GetValueOrDefault("timestep_cond"),
            encoderHiddenStates: io.GetValueOrDefault("encoder_hidden_states"),
            encoderAttentionMask: io.TryGetValue("encoder_attention_mask", out var mask) ? mask.to(ScalarType.Bool) : null);
    }
}
