using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What the options of all transformers that denoise images have in common.</summary>
public abstract record TransformerOptions
{
    private protected TransformerOptions()
    {
    }

    /// <summary>Channels of x_t. 3 by default.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Channels of the answer; <see cref="Channels"/> by default. Twice as many where the variance is learned too.</summary>
    public int? OutChannels { get; init; }

    /// <summary>The side in pixels of the square patches that become tokens. 2 by default.</summary>
    public int PatchSize { get; init; } = 2;

    /// <summary>The hidden width of the feed-forward layers as a multiple of the tokens' width. 4 by default.</summary>
    public int FeedForwardRatio { get; init; } = 4;

    /// <summary>The activation of the feed-forward layers; null, the default, for the one of the paper.</summary>
    public IActivation? Activation { get; init; }

    /// <summary>The probability of dropout after attention and inside the feed-forward layers. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>The number of classes; null, the default, for a network that takes no labels.</summary>
    public int? Classes { get; init; }

    /// <summary>
    /// The probability, in training mode, that a sample's label is replaced by <see cref="NullLabel"/>, so that the network can be guided
    /// without a classifier (Ho and Salimans 2022). 0.1 by default; 0 for no such label. Of no effect without <see cref="Classes"/>.
    /// </summary>
    public double LabelDropout { get; init; } = 0.1;

    /// <summary>The width of <see cref="Condition.Vector"/>; null, the default, for a network that takes none.</summary>
    public int? VectorWidth { get; init; }

    /// <summary>
    /// True to keep, in training, only what goes into each block and to compute the block again on the way back
    /// (<see cref="GradientCheckpointing"/>): less memory for about a third more time. Off by default.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>The label that says "no class", one beyond the last; null where there is none.</summary>
    public int? NullLabel => LabelDropout > 0 ? Classes : null;

    /// <summary>The channels of the answer.</summary>
    internal int Outputs => OutChannels ?? Channels;

    /// <summary>The rows of the table of labels.</summary>
    internal int Labels => (Classes ?? 0) + (NullLabel is null ? 0 : 1);

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not, with what it is and what was expected.</exception>
    internal virtual void Validate()
    {
        Guard.Positive(Channels);
        Guard.Positive(Outputs, nameof(OutChannels));
        Guard.Positive(PatchSize);
        Guard.Positive(FeedForwardRatio);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        Guard.Positive(VectorWidth ?? 1, nameof(VectorWidth));
        Probability(Dropout, nameof(Dropout));
        Probability(LabelDropout, nameof(LabelDropout));
    }

    /// <summary>Requires a width that the heads divide.</summary>
    internal static void ValidateHeads(int width, int heads, string name)
    {
        Guard.Positive(width);
        if (heads < 1 || width % heads != 0)
            throw new ArgumentException($"{name} must be positive and divide the width {width}, got {heads}.", name);
    }

    /// <summary>Requires images that patches tile.</summary>
    private protected void ValidateSize(int imageSize, string name)
    {
        if (imageSize < 1 || imageSize % PatchSize != 0)
            throw new ArgumentException($"{name} must be a positive multiple of the patch size {PatchSize}, got {imageSize}.", name);
    }

    private static void Probability(double value, string name)
    {
        if (!(value >= 0 && value < 1))
            throw new ArgumentOutOfRangeException(name, value, $"{name} must lie in [0, 1), got {value}.");
    }
}

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
