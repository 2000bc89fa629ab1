using Diffusion.Core.FaultHost;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>A model that one program trained and saved is sampled from in another process, which states nothing again.</summary>
public class SecondProgramTests
{
    [Theory]
    [InlineData("epsilon", "4 2")]
    [InlineData("edm", "4 2")]
    [InlineData("velocity, zero terminal SNR", "4 2")]
    [InlineData("learned variance", "2 1 8 8")]
    [InlineData("latent", "4 6")]
    [InlineData("custom schedule", "4 2")]
    [InlineData("custom network", "4 2")]
    public void Another_process_draws_the_same_samples(string kind, string shape)
    {
        using var folder = new TemporaryFolder();
        manual_seed(1);
        var sizes = shape.Split(' ').Select(size => long.Parse(size, System.Globalization.CultureInfo.InvariantCulture)).ToArray();
        using var network = Network(kind);
        using var vae = kind == "latent" ? new Vae(new VaeOptions { Body = new MlpBody { SampleShape = [1, 4, 4], Hidden = [8], LatentFeatures = 6 } }) : null;
        using var model = Model(kind, network);
        SecondProgram.Save(model, vae, folder.Path);
        vae?.eval();
        using var expected = SecondProgram.Sample(model, vae, sizes);

        using var host = new HostProcess(["load", folder.Path, .. shape.Split(' ')]);
        host.WaitForExit().Should().Be(0);

        var saved = Safetensors.Load(folder.File("samples.safetensors"));
        using var samples = saved["samples"];
        samples.ShouldBeIdentical(expected, kind);
    }

    private static DenoisingNetwork Network(string kind) => kind switch
    {
        "learned variance" => new UNet(new UNetOptions
        {
            ImageSize = 8,
            Channels = 1,
            OutChannels = 2,
            Width = 16,
            Multipliers = [1, 2],
            LayersPerBlock = 1,
            ZeroOutput = false,
        }),
        "custom network" => new GainNetwork(new GainOptions { Width = 2 }),
        "latent" => new MlpDenoiser(new MlpDenoiserOptions { Features = 6, Width = 16, Layers = 1 }),
        _ => new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1 }),
    };

    private static DiffusionModel Model(string kind, IDenoiser network) => kind switch
    {
        "edm" => new DiffusionModel(network, new EdmSchedule(), Prediction.Edm()),
        "velocity, zero terminal SNR" => new DiffusionModel(
            network, DiscreteSchedule.Linear().RescaledToZeroTerminalSnr(), Prediction.Velocity),
        "learned variance" => new DiffusionModel(network, DiscreteSchedule.Cosine()) { LearnsVariance = true },
        "custom schedule" => new DiffusionModel(network, new PowerSchedule(1.5)),
        _ => new DiffusionModel(network, DiscreteSchedule.Linear()),
    };
}
