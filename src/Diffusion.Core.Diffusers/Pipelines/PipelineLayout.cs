using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The components of a pipeline class, and its default number of steps, scheduler and guidance. Custom layouts can be added to a
/// <see cref="DiffusersTable"/>.
/// </summary>
/// <param name="ClassName">The class in diffusers, such as <c>DDPMPipeline</c>.</param>
public sealed record PipelineLayout(string ClassName)
{
    /// <summary>The name of the denoiser component. The default is <c>unet</c>.</summary>
    public string Denoiser { get; init; } = "unet";

    /// <summary>
    /// The name of the autoencoder component in whose latent space the denoiser works. The default is <see langword="null"/>: the
    /// denoiser works on pixels.
    /// </summary>
    public string? Autoencoder { get; init; }

    /// <summary>
    /// The name of the tokenizer component. The default is <see langword="null"/>: none. Because a pipeline can sample without a
    /// tokenizer if a condition is given, a tokenizer that is missing or whose class is not supported does not prevent loading the
    /// pipeline.
    /// </summary>
    public string? Tokenizer { get; init; }

    /// <summary>
    /// The name of the text encoder component. The default is <see langword="null"/>: none. As for the <see cref="Tokenizer"/>, a text
    /// encoder that is missing or whose class is not supported does not prevent loading the pipeline.
    /// </summary>
    public string? TextEncoder { get; init; }

    /// <summary>N, the number of inference steps. The default is 50.</summary>
    public int Steps { get; init; } = 50;

    /// <summary>The scale of classifier-free guidance. The default is 1: no guidance.</summary>
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

    /// <summary>The names of all components except the scheduler.</summary>
    internal IEnumerable<string> Names => Networks.Concat(new[] { Tokenizer, TextEncoder }.OfType<string>());

    /// <summary>The layouts of the supported pipelines, with the defaults of diffusers.</summary>
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
