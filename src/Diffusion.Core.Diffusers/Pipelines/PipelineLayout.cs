using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The components of a class of pipelines, and its default scheduler and guidance. Add custom ones to a
/// <see cref="DiffusersTable"/>.
/// </summary>
/// <param name="ClassName">The class in diffusers, such as <c>DDPMPipeline</c>.</param>
public sealed record PipelineLayout(string ClassName)
{
    /// <summary>The component that predicts. <c>unet</c> by default.</summary>
    public string Denoiser { get; init; } = "unet";

    /// <summary>The autoencoder in whose latent space it does; null, the default, for pixels.</summary>
    public string? Autoencoder { get; init; }

    /// <summary>
    /// The component that splits prompts into tokens; null, the default, for none. A pipeline samples without it, given a condition: one
    /// of a class that is not known, or that was left out, does not prevent loading the pipeline.
    /// </summary>
    public string? Tokenizer { get; init; }

    /// <summary>The component that encodes tokens as the condition, or null, as <see cref="Tokenizer"/>.</summary>
    public string? TextEncoder { get; init; }

    /// <summary>N, the number of inference steps. 50 by default.</summary>
    public int Steps { get; init; } = 50;

    /// <summary>The scale of classifier-free guidance. 1, the default, is none.</summary>
    public double GuidanceScale { get; init; } = 1.0;

    /// <summary>
    /// The class of scheduler to which the pipeline converts its scheduler. The default is <see langword="null"/>: unchanged.
    /// </summary>
    public string? SchedulerClass { get; init; }

    /// <summary>
    /// The settings that the pipeline changes in its scheduler, if the class of the scheduler has them. The default is none.
    /// </summary>
    public IReadOnlyDictionary<string, JsonNode> SchedulerSettings { get; init; } = new Dictionary<string, JsonNode>();

    /// <summary>
    /// The <c>sample_size</c> of denoisers that versions of diffusers before 0.9 saved with a smaller one. The default is
    /// <see langword="null"/>: unchanged.
    /// </summary>
    public int? LeastSampleSizeOfOldFiles { get; init; }

    /// <summary>The networks that sampling needs.</summary>
    internal IEnumerable<string> Networks => new[] { Denoiser, Autoencoder }.OfType<string>();

    /// <summary>Every component of the pipeline.</summary>
    internal IEnumerable<string> Names => Networks.Concat(new[] { Tokenizer, TextEncoder }.OfType<string>());

    /// <summary>The pipelines of diffusers that this library knows, with the defaults that they have there.</summary>
    internal static IReadOnlyList<PipelineLayout> All { get; } =
    [
        new("DDPMPipeline") { Steps = 1000 },
        new("DDIMPipeline") { SchedulerClass = "DDIMScheduler" },
        new("LDMPipeline") { Autoencoder = "vqvae" },
        new("DiTPipeline") { Denoiser = "transformer", Autoencoder = "vae", GuidanceScale = 4.0 },
        new("StableDiffusionPipeline")
        {
            Autoencoder = "vae",
            Tokenizer = "tokenizer",
            TextEncoder = "text_encoder",
            GuidanceScale = 7.5,
            SchedulerSettings = new Dictionary<string, JsonNode> { ["steps_offset"] = 1, ["clip_sample"] = false },
            LeastSampleSizeOfOldFiles = 64,
        },
    ];
}
