using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class SampleGridTests
{
    [Fact]
    public void Pictures_are_those_that_the_averaged_weights_draw_from_one_noise()
    {
        using var folder = new TemporaryFolder();
        using var labels = Condition.OfLabels([1, 2, 3]);
        using var unet = new UNet(new UNetOptions { ImageSize = 16, Channels = 1, Width = 8, Multipliers = [1, 1], Classes = 10 });
        var sampler = new DdimSampler(steps: 2);
        var shown = new List<string>();
        var grid = new SampleGrid(sampler, [3, 1, 16, 16], folder.File("grids")) { Seed = 4, Condition = labels, Columns = 3, Scale = 2 };
        using var trainer = new DdpmTrainer(unet, Runs.Schedule, new SimpleLoss(), Runs.Options with
        {
            Steps = 3,
            BatchSize = 2,
            Callbacks = [Every.StepsAndEnd(2, grid.Run), new Watch((name, path) => shown.Add($"{name} {Path.GetFileName(path)}"))],
        });

        trainer.Run(new SyntheticDigits(count: 20, imageSize: 16));

        shown.Should().Equal("samples step-00000002.png", "samples step-00000003.png");
        Directory.GetFiles(folder.File("grids")).Should().HaveCount(2);
        using var images = sampler.Sample(trainer.Ema, [3, 1, 16, 16], 4, labels, cancellationToken: TestContext.Current.CancellationToken);
        ImageGrid.SavePng(images, folder.File("expected.png"), columns: 3, scale: 2);
        File.ReadAllBytes(folder.File("grids/step-00000003.png")).Should().Equal(File.ReadAllBytes(folder.File("expected.png")));
        File.ReadAllBytes(folder.File("grids/step-00000002.png")).Should().NotEqual(File.ReadAllBytes(folder.File("expected.png")));
    }

    [Fact]
    public void A_trainer_without_a_model_needs_to_be_told_of_one()
    {
        using var folder = new TemporaryFolder();
        using var vae = new Vae(new() { Body = new MlpBody { SampleShape = [2], Hidden = [4], LatentFeatures = 2 } });
        var sampler = new DdimSampler(steps: 1);
        var grid = new SampleGrid(sampler, [2, 1, 4, 4], folder.File("a"));
        var told = new SampleGrid(sampler, [2, 1, 4, 4], folder.File("b"))
        {
            Model = _ => new FunctionDenoiser(x => x.clone()).On(Runs.Schedule),
            ToImages = images => images.mul(double.NaN),
        };
        AutoencoderTrainer Trainer(SampleGrid which)
            => new(vae, new AutoencoderLoss(), Runs.Options with { Steps = 1, Callbacks = [Every.Steps(1, which.Run)] });

        using (var trainer = Trainer(grid))
            FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<TrainerCallbackException>()
                .WithMessage("*SampleGrid.Run*").WithInnerException<InvalidOperationException>().WithMessage("*AutoencoderTrainer*Model*");
        using (var trainer = Trainer(told))
            trainer.Run(new Points(50));
        Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories).Select(Path.GetFileName).Should().Equal("step-00000001.png");
    }

    private sealed class Watch(Action<string, string> pictured) : TrainerCallback
    {
        public override void ImageLogged(TrainingRun run, string name, string path) => pictured(name, path);
    }
}
