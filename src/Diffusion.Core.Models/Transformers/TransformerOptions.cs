using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The options that all transformers for image denoising share.</summary>
public abstract record TransformerOptions
{
    private protected TransformerOptions()
    {
    }

    /// <summary>The number of channels of x_t. The default is 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// The number of channels of the output; a network that learns the variance needs twice the channels of x_t. The default is
    /// <see langword="null"/>: <see cref="Channels"/>.
    /// </summary>
    public int? OutChannels { get; init; }

    /// <summary>The side, in pixels, of the square patches. Each patch is one token. The default is 2.</summary>
    public int PatchSize { get; init; } = 2;

    /// <summary>The hidden width of the feed-forward layers, as a multiple of the width of the tokens. The default is 4.</summary>
    public int FeedForwardRatio { get; init; } = 4;

    /// <summary>The activation of the feed-forward layers. The default is <see langword="null"/>: that of the paper.</summary>
    public Activation? Activation { get; init; }

    /// <summary>The probability of dropout after attention and inside the feed-forward layers. The default is 0.</summary>
    public double Dropout { get; init; }

    /// <summary>The number of classes. The default is <see langword="null"/>: a network without labels.</summary>
    public int? Classes { get; init; }

    /// <summary>
    /// The probability, in training mode, that the label of a sample is replaced by <see cref="NullLabel"/>, for classifier-free guidance
    /// (Ho and Salimans 2022). With 0, there is no such label. The value is ignored if <see cref="Classes"/> is <see langword="null"/>. The
    /// default is 0.1.
    /// </summary>
    public double LabelDropout { get; init; } = 0.1;

    /// <summary>The width of <see cref="Condition.Vector"/>. The default is <see langword="null"/>: a network without a vector.</summary>
    public int? VectorWidth { get; init; }

    /// <summary>
    /// Whether, in training mode, only the inputs of each block are stored for the backward pass, which recomputes the block
    /// (<see cref="GradientCheckpointing"/>). This reduces memory and takes about a third more time. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>The label that means "no class". It equals the number of classes; <see langword="null"/> if there is none.</summary>
    public int? NullLabel => LabelDropout > 0 ? Classes : null;

    /// <summary>The number of channels of the output.</summary>
    internal int Outputs => OutChannels ?? Channels;

    /// <summary>The number of labels, including <see cref="NullLabel"/>.</summary>
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

    /// <summary>Throws if the number of heads does not divide the width.</summary>
    internal static void ValidateHeads(int width, int heads, string name)
    {
        Guard.Positive(width);
        if (heads < 1 || width % heads != 0)
            throw new ArgumentException(Invariant($"{name} must be positive and divide the width {width}, got {heads}."), name);
    }

    /// <summary>Throws if the image size is not a multiple of the patch size.</summary>
    private protected void ValidateSize(int imageSize, string name)
    {
        if (imageSize < 1 || imageSize % PatchSize != 0)
            throw new ArgumentException(
                Invariant($"{name} must be a positive multiple of the patch size {PatchSize}, got {imageSize}."), name);
    }

    private static void Probability(double value, string name)
    {
        if (!(value >= 0 && value < 1))
            throw new ArgumentOutOfRangeException(name, value, Invariant($"{name} must lie in [0, 1), got {value}."));
    }
}

/// <summary>The input checks and the label dropout that all transformers share.</summary>
internal static class TransformerInputs
{
    /// <summary>Throws if the data, timesteps or condition do not match the network.</summary>
    public static void Check(TransformerOptions options, Tensor xt, Tensor t, Condition? condition, Tensor weight)
    {
        DenoiserGuard.Data(xt, weight);
        DenoiserGuard.Times(t, xt.shape[0]);
        if (options.Classes is not null)
            DenoiserGuard.Labels(condition?.Labels, options.Labels, xt.shape[0], weight);
        if (options.VectorWidth is { } width)
            DenoiserGuard.Vector(condition?.Vector, width, xt.shape[0], weight);
    }

    /// <summary>Creates the label dropout layer, or returns <see langword="null"/> if there is no null label.</summary>
    public static LabelDropout? Dropout(TransformerOptions options)
        => options.NullLabel is { } none ? new LabelDropout(options.LabelDropout, none) : null;

    /// <summary>
    /// Returns the labels after dropout, or <see langword="null"/> if the network has no classes. The caller must dispose the tensor.
    /// </summary>
    public static Tensor? Labels(TransformerOptions options, LabelDropout? dropout, Condition? condition)
        => options.Classes is null ? null : dropout is null ? condition!.Labels!.alias() : dropout.call(condition!.Labels!);
}
