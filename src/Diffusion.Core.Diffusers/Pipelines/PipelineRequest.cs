using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The arguments of <see cref="DiffusersPipeline.Sample"/>. All properties are optional. The request does not own its tensors.
/// </summary>
public sealed record PipelineRequest
{
    /// <summary>
    /// The number of images. The default is <see langword="null"/>: the number of <see cref="Labels"/>, <see cref="Prompts"/>,
    /// <see cref="Condition"/>, <see cref="Unconditional"/> or <see cref="Noise"/>, or 1 if none of them is given.
    /// </summary>
    public int? Count { get; init; }

    /// <summary>N, the number of inference steps. The default is <see langword="null"/>: that of the pipeline.</summary>
    public int? Steps { get; init; }

    /// <summary>The root seed. The noise of image i depends only on the seed and on i. The default is 0.</summary>
    public long Seed { get; init; }

    /// <summary>A class label for each image, for networks with classes.</summary>
    public IReadOnlyList<long>? Labels { get; init; }

    /// <summary>
    /// The label that stands for no class, for guidance. The default is <see langword="null"/>: that of the network, if it has one.
    /// </summary>
    public long? NullLabel { get; init; }

    /// <summary>A prompt for each image, for pipelines with a tokenizer and a text encoder.</summary>
    public IReadOnlyList<string>? Prompts { get; init; }

    /// <summary>
    /// The negative prompt of classifier-free guidance, if <see cref="Prompts"/> are given. The default is <see langword="null"/>: the
    /// empty text.
    /// </summary>
    public string? NegativePrompt { get; init; }

    /// <summary>
    /// The condition of all images, instead of <see cref="Labels"/> or <see cref="Prompts"/>. For example, the hidden states of a text
    /// encoder, in diffusers <c>prompt_embeds</c>, are passed as <see cref="Condition.EncoderHiddenStates"/>.
    /// </summary>
    public Condition? Condition { get; init; }

    /// <summary>
    /// The unconditional or negative condition of classifier-free guidance, in diffusers <c>negative_prompt_embeds</c>. It cannot be
    /// combined with <see cref="Prompts"/>.
    /// </summary>
    public Condition? Unconditional { get; init; }

    /// <summary>
    /// The scale of classifier-free guidance; 1 for no guidance. The default is <see langword="null"/>: that of the pipeline, or 1 if
    /// <see cref="Labels"/>, <see cref="Prompts"/> and <see cref="Unconditional"/> are all <see langword="null"/>.
    /// </summary>
    public double? GuidanceScale { get; init; }

    /// <summary>
    /// The height of the images in pixels. The default is <see langword="null"/>: that of <see cref="Noise"/>, if given, or the height
    /// used in training.
    /// </summary>
    public int? Height { get; init; }

    /// <summary>
    /// The width of the images in pixels. The default is <see langword="null"/>: that of <see cref="Noise"/>, if given, or the width
    /// used in training.
    /// </summary>
    public int? Width { get; init; }

    /// <summary>
    /// [B, C, H, W] the Gaussian noise of unit variance from which sampling starts, in latent space if the pipeline has an
    /// autoencoder. The default is <see langword="null"/>: noise drawn from the <see cref="Seed"/>.
    /// </summary>
    public Tensor? Noise { get; init; }

    /// <summary>
    /// The configuration of the scheduler to sample with. The default is <see langword="null"/>: that of the pipeline.
    /// </summary>
    public SchedulerConfig? Scheduler { get; init; }

    /// <summary>
    /// The arguments of the scheduler, such as <see cref="SchedulerCall.Eta"/>. <see cref="SchedulerCall.Steps"/> is replaced by
    /// <see cref="Steps"/>, unless custom timesteps or sigmas are given.
    /// </summary>
    public SchedulerCall Call { get; init; } = new();
}
