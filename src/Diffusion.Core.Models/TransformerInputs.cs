using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What every transformer does with what it is given, before its first layer.</summary>
internal static class TransformerInputs
{
    /// <summary>Requires data, times and conditions that fit.</summary>
    public static void Check(TransformerOptions options, Tensor xt, Tensor t, Condition? condition, Tensor weight)
    {
        DenoiserGuard.Data(xt, weight);
        DenoiserGuard.Times(t, xt.shape[0]);
        if (options.Classes is not null)
            DenoiserGuard.Labels(condition?.Labels, options.Labels, xt.shape[0], weight);
        if (options.VectorWidth is { } width)
            DenoiserGuard.Vector(condition?.Vector, width, xt.shape[0], weight);
    }

    /// <summary>The layer that drops labels, or null where there is no label to take their place.</summary>
    public static LabelDropout? Dropout(TransformerOptions options)
        => options.NullLabel is { } none ? new LabelDropout(options.LabelDropout, none) : null;

    /// <summary>The labels that the network hears of; the caller's.</summary>
    public static Tensor? Labels(TransformerOptions options, LabelDropout? dropout, Condition? condition)
        => options.Classes is null ? null : dropout is null ? condition!.Labels!.alias() : dropout.call(condition!.Labels!);
}
