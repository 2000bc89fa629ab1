namespace Diffusion.Core.Models;

/// <summary>
/// The options and layouts of well-known networks. The numbers of parameters are those that <see cref="ModuleWeights.Count"/> returns.
/// Use <c>with</c> expressions to change them.
/// </summary>
/// <remarks>All group norms have 32 groups.</remarks>
public static class UNetPresets
{
    private const int Groups = 32;

    /// <summary>The CIFAR-10 network of Ho et al. 2020, as in the checkpoint google/ddpm-cifar10-32. 35,746,307 parameters.</summary>
    public static UNetOptions DdpmCifar10 { get; } = new()
    {
        Width = 128,
        Multipliers = [1, 2, 2, 2],
        AttentionResolutions = [16],
        GroupNormGroups = Groups,
        DownsamplePadding = 0,
        TimeEncoding = TimeEncoding.Sinusoidal(frequencyShift: 1) with { FlipSinToCos = false },
        NormEpsilon = 1e-6,
        Dropout = 0.1,
    };

    /// <summary>The CIFAR-10 network of Nichol and Dhariwal 2021, with a learned variance. 52,546,438 parameters.</summary>
    public static UNetOptions ImprovedDdpmCifar10 { get; } = new()
    {
        Width = 128,
        Multipliers = [1, 2, 2, 2],
        LayersPerBlock = 3,
        OutChannels = 6,
        AttentionResolutions = [16, 8],
        HeadWidth = 64,
        GroupNormGroups = Groups,
        ScaleShift = true,
        Dropout = 0.3,
    };

    /// <summary>
    /// The network of Dhariwal and Nichol 2021 (ADM) for ImageNet at 64x64, with 1000 classes and a learned variance. 295,904,454
    /// parameters.
    /// </summary>
    public static UNetOptions AdmImageNet64 { get; } = new()
    {
        ImageSize = 64,
        Width = 192,
        Multipliers = [1, 2, 3, 4],
        LayersPerBlock = 3,
        OutChannels = 6,
        AttentionResolutions = [32, 16, 8],
        HeadWidth = 64,
        GroupNormGroups = Groups,
        ScaleShift = true,
        ResidualResampling = true,
        Classes = 1000,
        Dropout = 0.1,
    };

    /// <summary>
    /// The network of Song et al. 2021 (NCSN++) for CelebA-HQ at 256x256, as in the checkpoint google/ncsnpp-celebahq-256. 65,574,421
    /// parameters, and 128 random frequencies that are not trained. The timestep is the noise level.
    /// </summary>
    public static UNetLayout NcsnppCelebA256 { get; } = new()
    {
        ImageSize = 256,
        Levels = [.. new[] { 128, 128, 256, 256, 256, 256, 256 }.Select((width, level) => new UNetLevel
        {
            Width = width,
            Down = new NcsnppBlockOptions
            {
                Attention = level == 4 ? new SelfAttentionOptions { OutputScale = Math.Sqrt(2), Groups = Groups } : null,
            },
        })],
        Middle = new UNetBlockOptions { Attention = new SelfAttentionOptions { OutputScale = Math.Sqrt(2) }, OutputScale = Math.Sqrt(2) },
        GroupNormGroups = Groups,
        NormEpsilon = 1e-6,
        TimeEncoding = TimeEncoding.Fourier(),
        DivideByTime = true,
    };

    /// <summary>
    /// The network of Stable Diffusion 1 (Rombach et al. 2022), for latents with four channels, conditioned on the tokens of a CLIP
    /// text encoder of width 768. 859,520,964 parameters.
    /// </summary>
    public static UNetLayout StableDiffusion1 { get; } = Latent(
        64,
        [Crossed(320, 8, 1, 768, false), Crossed(640, 8, 1, 768, false), Crossed(1280, 8, 1, 768, false), new UNetLevel { Width = 1280 }],
        Transformers(8, 1, 768, false));

    /// <summary>The network of Stable Diffusion 2, conditioned on tokens of width 1024. 865,910,724 parameters.</summary>
    public static UNetLayout StableDiffusion2 { get; } = Latent(
        64,
        [Crossed(320, 5, 1, 1024, true), Crossed(640, 10, 1, 1024, true), Crossed(1280, 20, 1, 1024, true), new UNetLevel { Width = 1280 }],
        Transformers(20, 1, 1024, true));

    /// <summary>
    /// The network of Stable Diffusion XL (Podell et al. 2023), conditioned on tokens of width 2048 and on a vector that contains the
    /// pooled text embedding of width 1280 and six numbers. 2,567,463,684 parameters.
    /// </summary>
    public static UNetLayout StableDiffusionXL { get; } = Latent(
        128,
        [new UNetLevel { Width = 320 }, Crossed(640, 10, 2, 2048, true), Crossed(1280, 20, 10, 2048, true)],
        Transformers(20, 10, 2048, true)) with
    {
        AddedEmbedding = UNetConditioning.TextAndNumbers(1280),
    };

    private static UNetLayout Latent(int size, UNetLevel[] levels, IUNetLayerOptions middle) => new()
    {
        ImageSize = size,
        Channels = 4,
        Levels = levels,
        Middle = new UNetBlockOptions { Attention = middle },
        GroupNormGroups = Groups,
    };

    private static UNetLevel Crossed(int width, int heads, int layers, int context, bool linear) => new()
    {
        Width = width,
        Down = new UNetBlockOptions { Attention = Transformers(heads, layers, context, linear) },
    };

    private static SpatialTransformerOptions Transformers(int heads, int layers, int context, bool linear) => new()
    {
        Heads = heads,
        Layers = layers,
        ContextWidth = context,
        LinearProjection = linear,
    };
}
