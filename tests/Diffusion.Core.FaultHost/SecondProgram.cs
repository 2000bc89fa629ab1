using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.FaultHost;

/// <summary>Another program, another day: loads a model and samples from it, with nothing stated again.</summary>
public static class SecondProgram
{
    private const string AutoencoderFile = "autoencoder.safetensors";

    /// <summary>The classes of this program.</summary>
    public static ModelFormat Format { get; } = ModelFormat.Default
        .With(NetworkType.Of("Gain", options => new GainNetwork(options), (GainNetwork network) => network.Options, new GainOptions(), GainJson.Default.GainOptions))
        .WithSchedule("Power", (PowerSchedule schedule) => new JsonObject { ["power"] = schedule.Power }, options => new PowerSchedule((double)options["power"]!));

    /// <summary>Loads the model in a folder, and writes samples of it as <c>samples.safetensors</c>.</summary>
    public static void Run(string folder, long[] shape)
    {
        using var model = DiffusionModel.Load(folder, format: Format);
        using var vae = File.Exists(Path.Combine(folder, AutoencoderFile)) ? ModelFile.Load<Vae>(Path.Combine(folder, AutoencoderFile)) : null;
        using var samples = Sample(model, vae, shape);
        Safetensors.Save(Path.Combine(folder, "samples.safetensors"), new Dictionary<string, Tensor> { ["samples"] = samples });
    }

    /// <summary>Saves a model, and the autoencoder in whose latent space it is.</summary>
    public static void Save(DiffusionModel model, Vae? vae, string folder)
    {
        model.Save(folder, Format);
        if (vae is not null)
            ModelFile.Save(Path.Combine(folder, AutoencoderFile), vae);
    }

    /// <summary>Samples of a model.</summary>
    public static Tensor Sample(DiffusionModel model, Vae? vae, long[] shape)
    {
        var spacing = model.Schedule is DiscreteSchedule ? TimeSpacing.Trailing : ScheduleTimeSpacing.Uniform();
        ISampler sampler = model.LearnsVariance ? new AncestralSampler(6) : new DiffusionSampler(new DpmMultistepSolver(), steps: 6, spacing);
        return vae is null ? sampler.Sample(model, shape, seed: 1) : new LatentDiffusion(vae, model).Sample(sampler, shape, seed: 1);
    }
}

/// <summary>A schedule of this program: alpha = 1 - t^p, sigma = t^p.</summary>
public sealed class PowerSchedule(double power) : INoiseSchedule
{
    public double Power { get; } = power;

    public double MinTime => 0.01;

    public double MaxTime => 0.99;

    public NoiseLevel LevelAt(double t) => new(1.0 - Math.Pow(t, Power), Math.Pow(t, Power));
}

/// <summary>The options of <see cref="GainNetwork"/>.</summary>
public sealed record GainOptions
{
    public int Width { get; init; } = 2;
}

/// <summary>A network of this program: a gain for each feature.</summary>
public sealed class GainNetwork : DenoisingNetwork
{
    private readonly TorchSharp.Modules.Parameter _gain;

    public GainNetwork(GainOptions options)
        : base(nameof(GainNetwork))
    {
        Options = options;
        _gain = new TorchSharp.Modules.Parameter(randn(options.Width));
        register_parameter("gain", _gain);
    }

    public GainOptions Options { get; }

    public override Tensor forward(Tensor xt, Tensor t, Condition? condition) => xt.mul(_gain);
}

[System.Text.Json.Serialization.JsonSerializable(typeof(GainOptions))]
internal sealed partial class GainJson : System.Text.Json.Serialization.JsonSerializerContext;
