using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>What a pipeline samples. Everything has a default; owns none of its tensors.</summary>
public sealed record PipelineRequest
{
    /// <summary>The number of images; that of <see cref="Labels"/>, <see cref="Prompts"/>, <see cref="Condition"/> or <see cref="Noise"/> where these are given, else 1.</summary>
    public int? Count { get; init; }

    /// <summary>N, the number of inference steps; the pipeline's own default where it is null.</summary>
    public int? Steps { get; init; }

    /// <summary>The root seed. Image i depends on it and on i only.</summary>
    public long Seed { get; init; }

    /// <summary>A class for each image, for networks with classes.</summary>
    public IReadOnlyList<long>? Labels { get; init; }

    /// <summary>The label that stands for no class, for guidance; null for the network's own, where it has one.</summary>
    public long? NullLabel { get; init; }

    /// <summary>A text for each image, for pipelines with a tokenizer and a text encoder.</summary>
    public IReadOnlyList<string>? Prompts { get; init; }

    /// <summary>What images are led away from, where <see cref="Prompts"/> are given; null, the default, for the empty text.</summary>
    public string? NegativePrompt { get; init; }

    /// <summary>
    /// The condition of all images, in place of <see cref="Labels"/>: such as the states of a text encoder as its
    /// <see cref="Condition.EncoderHiddenStates"/>, diffusers' <c>prompt_embeds</c>.
    /// </summary>
    public Condition? Condition { get; init; }

    /// <summary>What images are led away from, where <see cref="Condition"/> is given: diffusers' <c>negative_prompt_embeds</c>.</summary>
    public Condition? Unconditional { get; init; }

    /// <summary>The scale w of classifier-free guidance, 1 for none; the pipeline's own default where it is null.</summary>
    public double? GuidanceScale { get; init; }

    /// <summary>The height of the images in pixels; that of training where it is null.</summary>
    public int? Height { get; init; }

    /// <summary>The width of the images in pixels; that of training where it is null.</summary>
    public int? Width { get; init; }

    /// <summary>[B, C, H, W] the Gaussian noise to start from, of unit variance; null for a draw. In latent space, where the pipeline works there.</summary>
    public Tensor? Noise { get; init; }

    /// <summary>The scheduler to sample with; the pipeline's own where it is null.</summary>
    public SchedulerConfig? Scheduler { get; init; }

    /// <summary>The arguments of the scheduler's step, such as <see cref="SchedulerCall.Eta"/>; its number of steps is ignored.</summary>
    public SchedulerCall Call { get; init; } = new();
}
