using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The common options of all transformers that denoise images.</summary>
public abstract record TransformerOptions
{
    private protected TransformerOptions()
    {
    }

    /// <summary>The number of channels of x_t. 3 by default.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// The number of channels of the output: twice that of x_t if the variance is learned too. The default is <see langword="null"/>:
    /// <see cref="Channels"/>.
    /// </summary>
    public int? OutChannels { get; init; }

    /// <summary>The side in pixels of the square patches that become tokens. 2 by default.</summary>
    public int PatchSize { get; init; } = 2;

    /// <summary>The hidden width of the feed-forward layers as a multiple of the tokens' width. 4 by default.</summary>
    public int FeedForwardRatio { get; init; } = 4;

    /// <summary>The activation of the feed-forward layers; null, the default, for the one of the paper.</summary>
    public Activation? Activation { get; init; }

    /// <summary>The probability of dropout after attention and inside the feed-forward layers. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>The number of classes. The default is <see langword="null"/>: the network takes no labels.</summary>
    public int? Classes { get; init; }

    /// <summary>
    /// The probability, in training mode, that a sample's label is replaced by <see cref="NullLabel"/>, for classifier-free guidance (Ho
    /// and Salimans 2022). 0.1 by default; with 0 there is no such label. Ignored without <see cref="Classes"/>.
    /// </summary>
    public double LabelDropout { get; init; } = 0.1;

    /// <summary>The width of <see cref="Condition.Vector"/>. The default is <see langword="null"/>: the network takes no vector.</summary>
    public int? VectorWidth { get; init; }

    /// <summary>
    /// True to store, in training, only the inputs of each block and to recompute the block in the backward pass
    /// (<see cref="GradientCheckpointing"/>), which needs less memory and about a third more time. The default is <see langword="false"/>.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>The label that means "no class", which is the number of classes; <see langword="null"/> if there is none.</summary>
    public int? NullLabel => LabelDropout > 0 ? Classes : null;

    /// <summary>The number of channels of the output.</summary>
    internal int Outputs => OutChannels ?? Channels;

    /// <summary>The number of rows of the table of labels.</summary>
    internal int Labels => (Classes ?? 0) + (NullLabel is null ? 0 : 1);

    /// <summary>Throws if the options are inconsistent.</summary>
    /// <exception cref="ArgumentException">
    /// An option is out of range or inconsistent with another; the message contains the expected and the actual value.
    /// </exception>
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

    /// <summary>Throws unless the number of heads divides the width.</summary>
    internal static void ValidateHeads(int width, int heads, string name)
    {
        Guard.Positive(width);
        if (heads < 1 || width % heads != 0)
            throw new ArgumentException($"{name} must be positive and divide the width {width}, got {heads}.", name);
    }

    /// <summary>Throws unless the image size is a multiple of the patch size.</summary>
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

/// <summary>The checks and the label dropout of all transformers, before their first layer.</summary>
internal static class TransformerInputs
{
    /// <summary>Throws if data, times or conditions do not match the network.</summary>
    public static void Check(TransformerOptions options, Tensor xt, Tensor t, Condition? condition, Tensor weight)
    {
        DenoiserGuard.Data(xt, weight);
        DenoiserGuard.Times(t, xt.shape[0]);
        if (options.Classes is not null)
            DenoiserGuard.Labels(condition?.Labels, options.Labels, xt.shape[0], weight);
        if (options.VectorWidth is { } width)
            DenoiserGuard.Vector(condition?.Vector, width, xt.shape[0], weight);
    }

    /// <summary>Creates the layer that drops labels; returns <see langword="null"/> if there is no null label.</summary>
    public static LabelDropout? Dropout(TransformerOptions options)
        => options.NullLabel is { } none ? new LabelDropout(options.LabelDropout, none) : null;

    /// <summary>Returns the labels after dropout. The caller must dispose the tensor.</summary>
    public static Tensor? Labels(TransformerOptions options, LabelDropout? dropout, Condition? condition)
        => options.Classes is null ? null : dropout is null ? condition!.Labels!.alias() : dropout.call(condition!.Labels!);
}
