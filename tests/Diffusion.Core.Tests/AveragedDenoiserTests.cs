using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class AveragedDenoiserTests
{
    [Fact]
    public void Predictions_are_those_of_the_averaged_weights_inside_and_outside_of_a_scope()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyDenoiser();
        using var trainer = Trained(model);
        var (x, t) = Input();
        var trained = Bits.Of(model.Predict(x, t));

        var outside = trainer.Ema.Predict(x, t);
        outside.requires_grad.Should().BeFalse();
        string inside, direct;
        using (trainer.Ema.BeginInference())
        {
            inside = Bits.Of(trainer.Ema.Predict(x, t));
            direct = Bits.Of(model.Predict(x, t));
        }

        inside.Should().Be(Bits.Of(outside)).And.Be(direct).And.NotBe(trained);
        Bits.Of(model.Predict(x, t)).Should().Be(trained);
    }

    [Fact]
    public void The_mode_of_every_part_is_restored()
    {
        using var model = new TinyDenoiser();
        using var trainer = Trained(model);
        var part = model.children().First();
        part.eval();

        using (trainer.Ema.BeginInference())
            model.training.Should().BeFalse();

        model.training.Should().BeTrue();
        part.training.Should().BeFalse();
    }

    [Fact]
    public void Scopes_nest_and_end_once()
    {
        using var model = new TinyDenoiser();
        using var trainer = Trained(model);
        var weight = model.get_parameter("_first.weight")!;
        var trained = Bits.Of(weight);

        var outer = trainer.Ema.BeginInference()!;
        var averaged = Bits.Of(weight);
        var inner = trainer.Ema.BeginInference()!;
        Bits.Of(weight).Should().Be(averaged);
        inner.Dispose();
        inner.Dispose();
        Bits.Of(weight).Should().Be(averaged).And.NotBe(trained);
        outer.Dispose();

        Bits.Of(weight).Should().Be(trained);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Steps_and_saves_are_refused_while_the_averaged_weights_are_in_use()
    {
        using var model = new TinyDenoiser();
        using var trainer = Trained(model);
        using var folder = new TemporaryFolder();
        using var batch = Runs.Batch(1, 2, 3);
        using (trainer.Ema.BeginInference())
        {
            var calls = new Action[] { () => trainer.TrainStep(batch), () => trainer.Save(folder.File("x")) };
            foreach (var call in calls)
                call.Should().Throw<InvalidOperationException>().WithMessage("*averaged weights are in use*");
        }

        trainer.TrainStep(batch);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void The_averaged_weights_are_refused_within_a_step()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        model.Before = () => trainer.Ema.BeginInference();
        using var batch = Runs.Batch(1, 2, 3);

        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<InvalidOperationException>().WithMessage("*while a training step runs*");

        model.Before = null;
        trainer.TrainStep(batch);
    }

    [Fact]
    public void Samplers_sample_between_steps_without_changing_the_run()
    {
        string Run(bool sampling)
        {
            using var model = new TinyDenoiser();
            using var trainer = Runs.Trainer(model);
            var sampler = new DdimSampler(steps: 3, options: Runs.Clipped);
            trainer.Run(new Points(50), new DirectProgress(_ =>
            {
                if (!sampling)
                    return;
                using var samples = sampler.Sample(trainer.Ema, [4, 2], seed: 0);
                samples.isfinite().all().item<bool>().Should().BeTrue();
            }));
            return Bits.Of(model.get_parameter("_first.weight")!);
        }

        Run(sampling: true).Should().Be(Run(sampling: false));
    }

    [Fact]
    public void Sampling_leaves_no_tensors_behind()
    {
        using var model = new TinyDenoiser();
        using var trainer = Trained(model);
        var (x, t) = Input();
        LiveTensors.Change(() =>
        {
            using (trainer.Ema.BeginInference())
                trainer.Ema.Predict(x, t).Dispose();
            trainer.Ema.Predict(x, t).Dispose();
        }).Should().Be(0);
        x.Dispose();
        t.Dispose();
    }

    [Fact]
    public void Disposing_the_trainer_within_a_scope_gives_the_trained_weights_back()
    {
        using var model = new TinyDenoiser();
        var trainer = Trained(model);
        var weight = model.get_parameter("_first.weight")!;
        var trained = Bits.Of(weight);
        var scope = trainer.Ema.BeginInference()!;

        trainer.Dispose();
        scope.Dispose();

        Bits.Of(weight).Should().Be(trained);
    }

    private static DdpmTrainer Trained(TinyDenoiser model)
    {
        var trainer = Runs.Trainer(model);
        trainer.Run(new Points(50));
        return trainer;
    }

    private static (Tensor X, Tensor T) Input() => (ones(3, 2), zeros([3], dtype: ScalarType.Int64));
}
