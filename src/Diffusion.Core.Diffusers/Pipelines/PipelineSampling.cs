using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Samples once from a pipeline: derives the shape and the defaults from the configurations, runs the sampler, and decodes the result.
/// </summary>
internal sealed class PipelineSampling
{
    /// <summary>The largest side of an image that a configuration can specify.</summary>
    private const int MaxSide = 65_536;

    private readonly DiffusersPipeline _pipeline;
    private readonly PipelineRequest _request;
    private readonly ModelConfig _config;
    private readonly int _count;

    public PipelineSampling(DiffusersPipeline pipeline, PipelineRequest request)
    {
        (_pipeline, _request) = (pipeline, request);
        _config = pipeline.Models[pipeline.Layout.Denoiser].Config;
        _count = CountOf(request);
    }

    private int Channels => _config.Whole("in_channels", 3);

    private double GuidanceScale => _request.GuidanceScale
        ?? (_request.Labels is null && _request.Prompts is null && _request.Unconditional is null ? 1.0 : _pipeline.Layout.GuidanceScale);

    /// <summary>Samples the images.</summary>
    public Tensor Run(IProgress<SamplingProgress>? progress, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var labels = _request.Labels is { } given ? Condition.OfLabels([.. given], _pipeline.Device) : null;
        using var prompts = _request.Prompts is { } texts ? _pipeline.EncodePrompts(texts) : null;
        using var negative = prompts is null || GuidanceScale == 1.0 ? null : Negative();
        var condition = _request.Condition ?? prompts ?? labels;
        var mapped = Sampler();
        var sampler = mapped.Sampler;
        using var model = mapped.CreateModel(Guided(condition, _request.Unconditional ?? negative));
        var sample = sampler.Sample(
            model,
            new SamplingRequest
            {
                Shape = Shape(),
                Seed = _request.Seed,
                Condition = condition,
                InitialSample = _request.Noise?.Mul(sampler.InitialScaleFor(model.Schedule)),
                Device = _pipeline.Device,
                Dtype = _pipeline.Dtype,
            },
            progress,
            cancellationToken);
        var images = _pipeline.Autoencoder is { } autoencoder ? Decode(autoencoder, sample) : sample;
        return images.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private static Tensor Decode(IAutoencoder autoencoder, Tensor sample)
    {
        using var inference = autoencoder.BeginInference();
        return autoencoder.Decode(autoencoder.Scaling?.Invert(sample) ?? sample);
    }

    private static long? SizeOf(Condition? condition)
        => new[] { condition?.Labels, condition?.Vector, condition?.TimestepCondition, condition?.EncoderHiddenStates, condition?.Image }
            .FirstOrDefault(tensor => tensor is not null)?.shape[0];

    /// <summary>Returns the condition for the negative prompt, repeated for each image.</summary>
    private Condition Negative()
    {
        using var one = _pipeline.EncodePrompts([_request.NegativePrompt ?? ""]);
        var sequence = one.EncoderHiddenStates!;
        return Condition.Create(encoderHiddenStates: sequence.expand(_count, sequence.shape[1], sequence.shape[2]).contiguous());
    }

    private static int CountOf(PipelineRequest request)
    {
        int?[] counts =
        [
            request.Count, request.Labels?.Count, request.Prompts?.Count, (int?)SizeOf(request.Condition), (int?)SizeOf(request.Unconditional),
            (int?)request.Noise?.shape[0],
        ];
        var given = counts.OfType<int>().Distinct().ToArray();
        if (given.Length > 1)
            throw new ArgumentException(
                "Count, Labels, Prompts, Condition, Unconditional and Noise must specify the same number of images, got "
                + Invariant($"{string.Join(", ", counts.Select(count => count?.ToString(CultureInfo.InvariantCulture) ?? "none"))}."),
                nameof(request));
        if (new object?[] { request.Labels, request.Prompts, request.Condition }.Count(told => told is not null) > 1)
            throw new ArgumentException(
                "Labels, Prompts and Condition cannot be combined: give one of them, got several.", nameof(request));
        if (request.Prompts is not null && request.Unconditional is not null)
            throw new ArgumentException("Prompts and Unconditional cannot be combined; use NegativePrompt instead.", nameof(request));
        if (request.Prompts is null && request.NegativePrompt is not null)
            throw new ArgumentException("A NegativePrompt needs Prompts, got none.", nameof(request));
        return Guard.Positive(given.Length == 0 ? 1 : given[0], nameof(request.Count));
    }

    private DiffusersSampler Sampler()
    {
        var scheduler = _request.Scheduler ?? _pipeline.Scheduler;
        if (_pipeline.Layout.SchedulerClass is { } only && _request.Scheduler is null)
            scheduler = scheduler.As(only);
        var call = _request.Call;
        if (call.Timesteps is null && call.Sigmas is null)
            call = call with { Steps = _request.Steps ?? _pipeline.Layout.Steps };
        var mapped = DiffusersScheduler.Create(scheduler, call);

        // The network may predict a variance that the scheduler does not use.
        return mapped with { LearnsVariance = mapped.LearnsVariance || _config.WholeOrNull("out_channels") == 2 * Channels };
    }

    private long[] Shape()
    {
        var (height, width) = SampleSize();
        var reduction = 1;
        if (_pipeline.Layout.Autoencoder is { } name)
            reduction = 1 << ((_pipeline.Models[name].Config.Wholes("block_out_channels")?.Length ?? 1) - 1);
        long[] shape = [_count, Channels, Side(_request.Height, height, nameof(_request.Height)), Side(_request.Width, width, nameof(_request.Width))];
        if (_request.Noise is { } noise)
            Guard.Shape(noise, _request.Height is null && _request.Width is null ? [_count, Channels, -1, -1] : shape);
        return _request.Noise?.shape ?? shape;

        long Side(int? pixels, int trained, string argument) => pixels is not { } side ? trained
            : side > 0 && side % reduction == 0 ? side / reduction
            : throw new ArgumentException(Invariant($"{argument} must be a positive multiple of {reduction}, got {side}."), argument);
    }

    private (int Height, int Width) SampleSize()
    {
        const string Name = "sample_size";
        if (_config.Json(Name) is System.Text.Json.Nodes.JsonArray)
            return _config.Wholes(Name) is [>= 1 and <= MaxSide and var height, >= 1 and <= MaxSide and var width]
                ? (height, width)
                : throw Invalid();
        var side = _config.WholeOrNull(Name);
        if (side is < 1 or > MaxSide)
            throw Invalid();
        if (side < _pipeline.Layout.LeastSampleSizeOfOldFiles && IsBefore(0, 9))
            side = _pipeline.Layout.LeastSampleSizeOfOldFiles;
        if (side is null && (_request.Noise is null && (_request.Height is null || _request.Width is null)))
            throw new ArgumentException($"{_config.ClassName} does not specify its {Name}; set Height and Width.");
        return (side ?? 1, side ?? 1);

        InvalidDataException Invalid() => _config.Unexpected(Name, $"one or two whole numbers from 1 to {MaxSide}", _config.Json(Name));
    }

    private bool IsBefore(int major, int minor)
        => _config.TextOrNull("_diffusers_version")?.Split('.') is [var first, var second, ..]
            && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var savedMajor)
            && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out var savedMinor)
            && (savedMajor, savedMinor).CompareTo((major, minor)) < 0;

    private IDenoiser Guided(Condition? condition, Condition? unconditional)
    {
        var scale = GuidanceScale;
        if (scale == 1.0)
            return _pipeline.Denoiser;
        if (unconditional is not null)
        {
            var denoiser = _pipeline.Denoiser;
            return new GuidedDenoiser(denoiser, new DelegateDenoiser((xt, t, _) => denoiser.Predict(xt, t, unconditional)), scale);
        }

        if (condition?.Labels is null)
            throw new ArgumentException(
                Invariant($"A guidance scale of {scale} needs labels, prompts, or a condition and an unconditional condition, ")
                + "got none of them.");
        var label = _request.NullLabel ?? _pipeline.NullLabel
            ?? throw new ArgumentException(
                $"{_config.ClassName} has no label that stands for no class; set NullLabel, or a GuidanceScale of 1.");
        return Guidance.ClassifierFree(_pipeline.Model, scale, label).Network;
    }
}
