using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

public class LoadWeightsTests
{
    [Theory]
    [InlineData("run", "ema", "ema.safetensors")]
    [InlineData("run/step-00000020", "ema", "ema.safetensors")]
    [InlineData("run", null, "model.safetensors")]
    [InlineData("run/step-00000010/model.safetensors", "ema", "../step-00000010/model.safetensors")]
    public void A_run_starts_from_the_weights_of_another(string from, string? average, string file)
    {
        using var folder = new TemporaryFolder();
        Train(folder.File("run"));
        using var model = new TinyDenoiser(seed: 4);
        using var trainer = Runs.Trainer(model, Runs.Options with
        {
            BatchSize = 3,
            Seed = 9,
            ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99) },
        });

        trainer.LoadWeights(folder.File(from), average);

        trainer.Step.Should().Be(0);
        trainer.Save(folder.File("started"));
        var expected = Bits.OfFile(Path.Combine(folder.File("run/step-00000020"), file));
        foreach (var weights in (string[])["model.safetensors", "ema.safetensors", "ema-slow.safetensors"])
            Bits.OfFile(folder.File($"started/{weights}")).Should().Be(expected, weights);
        using var untouched = new TinyDenoiser(seed: 5);
        using var fresh = Runs.Trainer(untouched);
        fresh.Save(folder.File("fresh"));
        Bits.OfFile(folder.File("started/optimizer.safetensors")).Should().Be(Bits.OfFile(folder.File("fresh/optimizer.safetensors")));
        trainer.Run(new Points(50));
        trainer.Step.Should().Be(20);
    }

    [Fact]
    public void A_run_starts_from_a_named_average()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99) } };
        using (var first = new TinyDenoiser(seed: 3))
        using (var before = Runs.Trainer(first, options))
        {
            before.Run(new Points(50));
            before.Save(folder.File("before"));
        }

        using var model = new TinyDenoiser(seed: 4);
        using var trainer = Runs.Trainer(model);

        trainer.LoadWeights(folder.File("before"), "slow");

        trainer.Save(folder.File("started"));
        Bits.OfFile(folder.File("started/model.safetensors")).Should().Be(Bits.OfFile(folder.File("before/ema-slow.safetensors")))
            .And.NotBe(Bits.OfFile(folder.File("before/ema.safetensors")));
        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("before"), "fast"))
            .Should().Throw<CheckpointException>().WithMessage("*'fast'*ema, slow*");
    }

    [Fact]
    public void A_network_that_computes_in_lower_precision_starts_from_all_digits()
    {
        using var folder = new TemporaryFolder();
        Train(folder.File("run"));
        using var model = new TinyDenoiser(seed: 4);
        using var trainer = Runs.Trainer(model, Runs.Options with { Precision = Precision.BFloat16 });

        trainer.LoadWeights(folder.File("run"));

        trainer.Save(folder.File("started"));
        Bits.OfFile(folder.File("started/model.safetensors")).Should().Be(Bits.OfFile(folder.File("run/step-00000020/ema.safetensors")));
        using var given = new TinyDenoiser();
        ModuleWeights.Load(given, folder.File("run/step-00000020/ema.safetensors"));
        using var narrow = given.get_parameter("_first.weight")!.to(torch.ScalarType.BFloat16);
        Bits.Of(model.get_parameter("_first.weight")!).Should().Be(Bits.Of(narrow));
    }

    [Fact]
    public void A_model_file_is_a_start_too()
    {
        using var folder = new TemporaryFolder();
        var options = new MlpDenoiserOptions { Width = 8, Layers = 1 };
        using var before = new MlpDenoiser(options);
        ModelFile.Save(folder.File("model.safetensors"), before);
        using var model = new MlpDenoiser(options);
        using var trainer = new DdpmTrainer(model, Runs.Schedule, new Losses.SimpleLoss(), Runs.Options);

        trainer.LoadWeights(folder.File("model.safetensors"));

        foreach (var (name, tensor) in before.state_dict())
            Bits.Of(model.state_dict()[name]).Should().Be(Bits.Of(tensor), name);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_is_no_start_is_refused_and_nothing_changes()
    {
        using var folder = new TemporaryFolder();
        Train(folder.File("run"));
        using var model = new TinyDenoiser(seed: 4, width: 17);
        using var trainer = Runs.Trainer(model);
        trainer.Save(folder.File("before"));
        Directory.CreateDirectory(folder.File("empty"));
        File.WriteAllText(folder.File("run/step-00000010/ema.safetensors"), "?");

        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("run")))
            .Should().Throw<InvalidDataException>().WithMessage("*ema.safetensors: tensor '_first.*must have shape [17*got [16*");
        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("run/step-00000010")))
            .Should().Throw<CheckpointException>().WithMessage("*ema.safetensors: must have*");
        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("absent"))).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("empty"))).Should().Throw<FileNotFoundException>();
        trainer.Save(folder.File("after"));
        Bits.OfFolder(folder.File("after")).Should().Equal(Bits.OfFolder(folder.File("before")));

        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        FluentActions.Invoking(() => trainer.LoadWeights(folder.File("before")))
            .Should().Throw<InvalidOperationException>().WithMessage("*before the first step, got step 1*");
    }

    private static void Train(string folder)
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder });
        trainer.Run(new Points(50));
    }
}
