using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// A pipeline of diffusers with all its components: <c>using var pipeline = DiffusersPipeline.Load(folder);</c>
/// <c>using var images = pipeline.Sample(new PipelineRequest { Count = 4 });</c>
/// </summary>
public sealed class DiffusersPipeline : IDisposable
{
    private const string SchedulerName = "scheduler";

    private static readonly string[] _tokenizers = ["CLIPTokenizer", "CLIPTokenizerFast"];

    private readonly PipelineIndex _index;
    private readonly Dictionary<string, DiffusersModel> _models;
    private readonly Dictionary<string, string> _copied;
    private DiffusionModel? _model;

    private DiffusersPipeline(
        PipelineIndex index,
        PipelineLayout layout,
        SchedulerConfig scheduler,
        Dictionary<string, DiffusersModel> models,
        Dictionary<string, string> copied,
        ClipTokenizer? tokenizer)
    {
        (_index, Layout, Scheduler, _models, _copied, Tokenizer) = (index, layout, scheduler.With(layout.SchedulerSettings), models, copied, tokenizer);
        Denoiser = Required(layout.Denoiser).Network as IDenoiser
            ?? throw new NotSupportedException(
                Invariant($"{ClassName} needs a denoiser as its {layout.Denoiser}, got {models[layout.Denoiser].Config.ClassName}."));
        if (layout.Autoencoder is { } name)
            Autoencoder = Required(name).Network as IAutoencoder
                ?? throw new NotSupportedException(
                    Invariant($"{ClassName} needs an autoencoder as its {name}, got {models[name].Config.ClassName}."));
    }

    /// <summary>
    /// The denoiser as a model for the samplers, losses and likelihoods of this library, with the schedule and the prediction type of
    /// the scheduler. It is owned by the pipeline. Its data range is [-1, 1] for pixels and unbounded for latents.
    /// </summary>
    /// <exception cref="NotSupportedException">The scheduler or one of its settings is not supported.</exception>
    public DiffusionModel Model => _model ??= CreateModel();

    /// <summary>The class in diffusers, such as <c>DDPMPipeline</c>.</summary>
    public string ClassName => _index.ClassName;

    /// <summary>The roles of the components, and the defaults of the pipeline class.</summary>
    public PipelineLayout Layout { get; }

    /// <summary>The networks, by the names of their folders.</summary>
    public IReadOnlyDictionary<string, DiffusersModel> Models => _models;

    /// <summary>The denoiser.</summary>
    public IDenoiser Denoiser { get; }

    /// <summary>The autoencoder in whose latent space the denoiser works, or <see langword="null"/> if it works on pixels.</summary>
    public IAutoencoder? Autoencoder { get; }

    /// <summary>The tokenizer of prompts, or <see langword="null"/> if the pipeline has none or its class is not supported.</summary>
    public ClipTokenizer? Tokenizer { get; }

    /// <summary>
    /// The text encoder of prompts, or <see langword="null"/> if the pipeline has none or its class is not supported.
    /// </summary>
    public ClipTextEncoder? TextEncoder => TextModel?.Network as ClipTextEncoder;

    /// <summary>The configuration of the scheduler.</summary>
    public SchedulerConfig Scheduler { get; }

    /// <summary>The names of the components whose folders <see cref="Save"/> copies unchanged.</summary>
    public IReadOnlyCollection<string> CopiedComponents => _copied.Keys;

    /// <summary>The device of the networks.</summary>
    internal Device Device => Weight.device;

    /// <summary>The type of the weights of the denoiser.</summary>
    internal ScalarType Dtype => Weight.dtype;

    /// <summary>The label that stands for no class, if the denoiser has one.</summary>
    internal long? NullLabel => (Denoiser as DiT)?.Options.NullLabel;

    private DiffusersModel? TextModel => Layout.TextEncoder is { } name ? _models.GetValueOrDefault(name) : null;

    private Tensor Weight => _models[Layout.Denoiser].Network.parameters().First();

    /// <summary>Reads a pipeline from a folder with a <c>model_index.json</c> and a folder for each component.</summary>
    /// <remarks>
    /// A component that sampling does not require and whose class is not supported, such as a safety checker, is not loaded;
    /// <see cref="Save"/> copies its folder. The folder of the tokenizer is copied too.
    /// </remarks>
    /// <param name="folder">The folder. Components that <see cref="Save"/> copies must still exist when it is called.</param>
    /// <param name="options">
    /// The supported classes, the type and the device. The default is a new <see cref="DiffusersOptions"/>.
    /// </param>
    /// <exception cref="FileNotFoundException">A file or the folder of a component is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the settings of a component are invalid.</exception>
    /// <exception cref="NotSupportedException">
    /// The class of the pipeline, the class of a required component, or a setting is not supported, or a required component is
    /// missing.
    /// </exception>
    public static DiffusersPipeline Load(string folder, DiffusersOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        options ??= new DiffusersOptions();
        var index = PipelineIndex.Read(Path.Combine(folder, PipelineIndex.FileName));
        var layout = options.Table.Pipeline(index.ClassName);
        var models = new Dictionary<string, DiffusersModel>(StringComparer.Ordinal);
        var copied = new Dictionary<string, string>(StringComparer.Ordinal);
        if (options.Variant is { } variant
            && !index.Components.Any(pair => pair.Value.ClassName is { } known && HasVariant(Path.Combine(folder, pair.Key), known, options)))
            throw new FileNotFoundException(Invariant($"No component in {folder} has weights of the variant '{variant}'."));
        try
        {
            foreach (var (name, component) in index.Components)
            {
                var path = Path.Combine(folder, name);
                if (component.ClassName is not { } className || name == SchedulerName)
                    continue;
                if (layout.Names.Contains(name) && !Directory.Exists(path))
                    throw new FileNotFoundException(
                        Invariant($"{PipelineIndex.FileName} has the component '{name}', but there is no folder {path}."), path);
                if (options.Table.Knows(className) || layout.Networks.Contains(name))
                    models.Add(name, DiffusersModel.Load(path, HasVariant(path, className, options) ? options : options with { Variant = null }, className));
                else
                    copied.Add(name, path);
                if (!layout.Names.Contains(name))
                    options.Logger.UnknownComponent(folder, name, className);
                else if (copied.ContainsKey(name) && !(name == layout.Tokenizer && _tokenizers.Contains(className)))
                    options.Logger.UnsupportedComponent(folder, name, className);
            }

            var schedulerFolder = Path.Combine(folder, SchedulerName);
            var scheduler = SchedulerConfig.Read(
                Path.Combine(schedulerFolder, SchedulerConfig.FileName), index.Components.GetValueOrDefault(SchedulerName).ClassName);
            if (scheduler.UnknownSettings is { Count: > 0 } unknown)
                options.Logger.UnknownSettings(schedulerFolder, scheduler.ClassName, string.Join(", ", unknown));
            return new DiffusersPipeline(index, layout, scheduler, models, copied, TokenizerOf(index, layout, copied));
        }
        catch
        {
            foreach (var model in models.Values)
                model.Dispose();
            throw;
        }
    }

    private static bool HasVariant(string folder, string className, DiffusersOptions options)
        => options.Variant is not null && options.Table.Knows(className)
            && DiffusersModel.FindWeights(folder, options.Table.Model(className), options.Variant) is not null;

    /// <summary>Creates a pipeline of networks of this library, to save it for diffusers.</summary>
    /// <param name="className">The class in diffusers, such as <c>DDPMPipeline</c>.</param>
    /// <param name="networks">The networks by component name, such as <c>unet</c>. They are disposed with the pipeline.</param>
    /// <param name="scheduler">The configuration of the scheduler.</param>
    /// <param name="folders">
    /// The components whose folders are copied, such as a <c>tokenizer</c>: path and class by component name. The default is none.
    /// </param>
    /// <param name="table">The supported classes. The default is <see cref="DiffusersTable.Default"/>.</param>
    /// <exception cref="NotSupportedException">
    /// diffusers has no such pipeline or network, or a required network is missing.
    /// </exception>
    public static DiffusersPipeline Of(
        string className,
        IReadOnlyDictionary<string, nn.Module> networks,
        SchedulerConfig scheduler,
        IReadOnlyDictionary<string, (string Path, string ClassName)>? folders = null,
        DiffusersTable? table = null)
    {
        ArgumentNullException.ThrowIfNull(networks);
        ArgumentNullException.ThrowIfNull(scheduler);
        table ??= DiffusersTable.Default;
        folders ??= new Dictionary<string, (string, string)>();
        var layout = table.Pipeline(className);
        var models = networks.ToDictionary(pair => pair.Key, pair => DiffusersModel.Of(pair.Value, table), StringComparer.Ordinal);
        var index = PipelineIndex.Of(
            className,
            [
                (SchedulerName, "diffusers", scheduler.ClassName),
                .. models.Select(pair => (pair.Key, pair.Value.Library, pair.Value.Config.ClassName)),
                .. folders.Select(pair => (pair.Key, "transformers", pair.Value.ClassName)),
            ]);
        var copied = folders.ToDictionary(pair => pair.Key, pair => RealPath.Of(pair.Value.Path), StringComparer.Ordinal);
        return new DiffusersPipeline(index, layout, scheduler, models, copied, TokenizerOf(index, layout, copied));
    }

    /// <summary>
    /// Saves a model as a pipeline of diffusers. The model must be an unconditional U-Net on pixels, which is saved as a
    /// <c>DDPMPipeline</c>. If the model has averaged weights, such as that of a trainer, the averaged weights are saved.
    /// </summary>
    /// <remarks>
    /// diffusers computes its noise schedules in float32, so that its samples agree with those of the model to about four digits.
    /// </remarks>
    /// <param name="model">The model. It is not changed.</param>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <exception cref="NotSupportedException">
    /// diffusers has no such pipeline, network or scheduler, or the U-Net has conditions. Use <see cref="Of"/> to create pipelines of
    /// several networks.
    /// </exception>
    /// <exception cref="IOException">The folder cannot be written. Its contents are not changed.</exception>
    public static void SaveModel(DiffusionModel model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        var network = model.Network;
        while (network is DelegatingDenoiser { IsTransparent: true } wrapper)
            network = wrapper.Inner;
        if (network is not UNet unet)
            throw new NotSupportedException($"diffusers has no pipeline for a {network.GetType().Name} alone; only a U-Net can be saved.");
        var scheduler = DiffusersScheduler.Describe(model);
        if (scheduler.ClassName != "DDPMScheduler")
            throw new NotSupportedException($"DDPMPipeline needs a DDPMScheduler, but the model needs {scheduler.ClassName}.");
        var unetClass = DiffusersTable.Default.Describe(unet).Config.ClassName;
        if (unetClass != UNetMapping.Plain || unet.Layout.ClassEmbedding is not null)
            throw new NotSupportedException(
                Invariant($"DDPMPipeline needs a {UNetMapping.Plain} without conditions, but the U-Net is a {unetClass}")
                + Invariant($"{(unet.Layout.ClassEmbedding is null ? "" : " with a class embedding")}. Use {nameof(DiffusersModel)}.")
                + $"{nameof(DiffusersModel.Of)} to save it alone.");
        using var inference = model.BeginInference();

        // Disposing this pipeline would dispose the network of the model.
        Of("DDPMPipeline", new Dictionary<string, nn.Module> { ["unet"] = unet }, scheduler).Save(folder);
    }

    /// <summary>
    /// Returns this pipeline with another scheduler. The two pipelines share their networks; dispose only one of them.
    /// </summary>
    public DiffusersPipeline With(SchedulerConfig scheduler)
    {
        ArgumentNullException.ThrowIfNull(scheduler);
        return new DiffusersPipeline(_index.With(SchedulerName, "diffusers", scheduler.ClassName), Layout, scheduler, _models, _copied, Tokenizer);
    }

    /// <summary>
    /// Returns the condition of the denoiser for prompts, in diffusers <c>prompt_embeds</c>: the last hidden states of the text
    /// encoder for all tokens, including padding. <see cref="Sample"/> calls this method for <see cref="PipelineRequest.Prompts"/>.
    /// </summary>
    /// <param name="prompts">At least one prompt. Prompts longer than the maximum length of the tokenizer are truncated.</param>
    /// <returns>
    /// A condition whose <see cref="Condition.EncoderHiddenStates"/> are [B, tokens, width]. The caller must dispose it.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// The pipeline has no supported tokenizer or text encoder, the denoiser also needs an embedding of the guidance scale, or a
    /// prompt is not valid Unicode.
    /// </exception>
    public Condition EncodePrompts(IReadOnlyList<string> prompts)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (Tokenizer is null || TextEncoder is null)
            throw new ArgumentException(
                Invariant($"Prompts need a tokenizer of class {string.Join(" or ", _tokenizers)} and a CLIPTextModel; this ")
                + Invariant($"{ClassName} has {Found(Layout.Tokenizer)} ")
                + Invariant($"and {Found(Layout.TextEncoder)}. Pass a Condition instead."),
                nameof(prompts));
        if (Denoiser is UNet { Layout.TimestepConditionWidth: { } width })
            throw new ArgumentException(
                Invariant($"A U-Net whose time_cond_proj_dim is {width} also needs an embedding of the guidance scale; ")
                + "pass a Condition with a TimestepCondition instead of prompts.",
                nameof(prompts));
        return new PromptEncoder(Tokenizer, TextEncoder, TextModel!.Config).Encode(prompts, Dtype);
    }

    /// <summary>Samples images.</summary>
    /// <param name="request">
    /// The request. The default is a new <see cref="PipelineRequest"/>: one image with the defaults of the pipeline.
    /// </param>
    /// <param name="progress">Receives a report after each step.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>
    /// [B, C, H, W] float32 on the device of the networks. Black is -1 and white is 1; values are not clipped. The images of diffusers
    /// are <c>x / 2 + 0.5</c>, clipped to [0, 1]. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">The request is inconsistent, or does not match the pipeline.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Tensor Sample(
        PipelineRequest? request = null, IProgress<SamplingProgress>? progress = null, CancellationToken cancellationToken = default)
        => new PipelineSampling(this, request ?? new PipelineRequest()).Run(progress, cancellationToken);

    /// <summary>Writes a folder that diffusers can read. Either all files are written, or the folder is not changed.</summary>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <param name="maxShardBytes">The maximum size of a weights file in bytes.</param>
    /// <exception cref="IOException">
    /// The folder cannot be written, or a copied component contains a link out of the folder that was loaded. Nothing is changed.
    /// </exception>
    public void Save(string folder, long maxShardBytes = DiffusersModel.DefaultMaxShardBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using var staged = new StagedFolder(folder);
        TextFile.Write(Path.Combine(staged.Path, PipelineIndex.FileName), _index.ToJson());
        Scheduler.Save(Path.Combine(staged.Path, SchedulerName, SchedulerConfig.FileName));
        foreach (var (name, model) in _models)
            model.WriteTo(Path.Combine(staged.Path, name), maxShardBytes);
        foreach (var (name, path) in _copied)
            ComponentFolder.Copy(path, Path.Combine(staged.Path, name));
        staged.Commit(file => _models.TryGetValue(Path.GetDirectoryName(file) ?? "", out var model) && model.IsObsolete(Path.GetFileName(file)));
    }

    /// <summary>Disposes the networks.</summary>
    public void Dispose()
    {
        _model?.Dispose();
        foreach (var model in _models.Values)
            model.Dispose();
    }

    private DiffusionModel CreateModel()
    {
        using var model = DiffusersScheduler.CreateModel(Scheduler, Denoiser);
        var config = _models[Layout.Denoiser].Config;
        return new DiffusionModel(Denoiser, model.Schedule, model.Prediction)
        {
            LearnsVariance = model.LearnsVariance || config.WholeOrNull("out_channels") == 2 * config.Whole("in_channels", 3),
            DataRange = Autoencoder is null ? DataRange.Images : DataRange.Unbounded,
            NullLabel = NullLabel,
        };
    }

    private static ClipTokenizer? TokenizerOf(PipelineIndex index, PipelineLayout layout, Dictionary<string, string> folders)
        => layout.Tokenizer is { } name && folders.TryGetValue(name, out var path) && _tokenizers.Contains(index.Components[name].ClassName)
            ? ClipText.LoadTokenizer(path)
            : null;

    private string Found(string? component)
        => component is not null && _index.Components.TryGetValue(component, out var found) ? found.ClassName ?? "none" : "none";

    private DiffusersModel Required(string name) => _models.TryGetValue(name, out var model)
        ? model
        : throw new NotSupportedException(
            Invariant($"{ClassName} needs the component '{name}', it has: ")
            + Invariant($"{string.Join(", ", _models.Keys.Order(StringComparer.Ordinal))}."));
}
