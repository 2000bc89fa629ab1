using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>A model of this library becomes a pipeline of diffusers, and comes back as a model.</summary>
public class SavedPipelineTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("epsilon", false)]
    [InlineData("x0", false)]
    [InlineData("velocity", false)]
    [InlineData("epsilon", true)]
    public void A_model_that_is_saved_for_diffusers_comes_back(string prediction, bool learnsVariance)
    {
        using var folder = new TemporaryFolder();
        manual_seed(2);
        using var unet = UNet(learnsVariance);
        var form = prediction switch { "epsilon" => Prediction.Epsilon, "x0" => Prediction.X0, _ => Prediction.Velocity };
        using var model = new DiffusionModel(unet, DiscreteSchedule.Cosine(200), form) { LearnsVariance = learnsVariance };

        DiffusersPipeline.SaveModel(model, folder.Path);
        using var pipeline = DiffusersPipeline.Load(folder.Path);

        pipeline.ClassName.Should().Be("DDPMPipeline");
        pipeline.Model.LearnsVariance.Should().Be(learnsVariance);
        pipeline.Model.DataRange.Should().Be(DataRange.Images);
        pipeline.Model.Prediction.Should().BeSameAs(form);
        using var expected = new DdimSampler(steps: 10).Sample(model, [2, 1, 8, 8], seed: 1, cancellationToken: Token);
        using var samples = new DdimSampler(steps: 10).Sample(pipeline.Model, [2, 1, 8, 8], seed: 1, cancellationToken: Token);

        // The tables of diffusers are float32.
        samples.ShouldBeClose(expected, 2e-3, "samples");
        using var ours = pipeline.Sample(new PipelineRequest { Count = 1, Steps = 10 }, cancellationToken: Token);
        ours.isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Schedulers_of_models_are_read_back_as_the_same_models()
    {
        var network = new DelegateDenoiser((x, _) => x.clone());
        foreach (var model in new[]
        {
            new DiffusionModel(network, new RectifiedFlowSchedule(1000.0, TimestepShift.Static(3.0)), Prediction.FlowVelocity),
            new DiffusionModel(network, new EdmSchedule(), Prediction.Edm(0.7)),
            new DiffusionModel(network, new EdmSchedule(), Prediction.EdmVelocity()),
        })
        {
            using var back = DiffusersScheduler.CreateModel(DiffusersScheduler.Describe(model), network);
            back.Prediction.Name.Should().Be(model.Prediction.Name);
            back.Prediction.Parameters.Should().Equal(model.Prediction.Parameters);
            back.Schedule.Should().BeOfType(model.Schedule.GetType());
            back.Schedule.MaxTime.Should().BeApproximately(model.Schedule.MaxTime, 1e-12);
        }
    }

    [Fact]
    public void What_diffusers_does_not_have_is_named()
    {
        using var folder = new TemporaryFolder();
        using var unet = UNet(learnsVariance: false);
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1 });
        Refuses(new DiffusionModel(mlp, DiscreteSchedule.Linear()), "*MlpDenoiser*");
        Refuses(new DiffusionModel(unet, DiscreteSchedule.Linear(), Prediction.Score), "*score*");
        Refuses(new DiffusionModel(unet, new EdmSchedule(), Prediction.Edm()), "*EDMEulerScheduler*");
        Refuses(new DiffusionModel(unet, new SubVpSchedule()), "*SubVpSchedule*");
        Refuses(new DiffusionModel(unet, DiscreteSchedule.Linear()) { DataRange = new DataRange(0.0, 1.0) }, "*[0, 1]*");
        Directory.GetFileSystemEntries(folder.Path).Should().BeEmpty();

        void Refuses(DiffusionModel model, string message)
            => FluentActions.Invoking(() => DiffusersPipeline.SaveModel(model, folder.Path)).Should().Throw<NotSupportedException>().WithMessage(message);
    }

    private static UNet UNet(bool learnsVariance) => new(new UNetOptions
    {
        ImageSize = 8,
        Channels = 1,
        OutChannels = learnsVariance ? 2 : 1,
        Width = 16,
        GroupNormGroups = 8,
        Multipliers = [1, 2],
        LayersPerBlock = 1,
        ZeroOutput = false,
    });
}
