using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class PrecisionTests
{
    [Fact]
    public void A_network_computes_in_bfloat16_with_its_norms_and_the_master_weights_in_float32()
    {
        using var unet = Network();
        using var trainer = Trainer(unet, new TrainerOptions { Precision = Precision.BFloat16 });

        var types = unet.named_parameters().ToLookup(p => p.parameter.dtype, p => p.name);
        types[ScalarType.BFloat16].Should().Contain(name => name.Contains("conv")).And.NotContain(name => name.Contains("norm"));
        types[ScalarType.Float32].Should().NotBeEmpty().And.OnlyContain(name => name.Contains("norm"));
    }

    [Fact]
    public void The_loss_curve_in_bfloat16_is_that_of_float32_within_two_percent()
    {
        var full = Losses(new TrainerOptions { LearningRate = 1e-3, WarmupSteps = 5 }, 12);
        var narrow = Losses(new TrainerOptions { LearningRate = 1e-3, WarmupSteps = 5, Precision = Precision.BFloat16 }, 12);

        for (var step = 0; step < full.Length; step++)
            narrow[step].Should().BeApproximately(full[step], 0.02 * full[step], "step {0}", step);
        narrow.Should().NotEqual(full);
    }

    [Fact]
    public void Channels_last_trains_to_the_same_weights_but_for_rounding()
    {
        var contiguous = Losses(new TrainerOptions { LearningRate = 1e-3, WarmupSteps = 5 }, 8);
        var last = Losses(new TrainerOptions { LearningRate = 1e-3, WarmupSteps = 5, ChannelsLast = true }, 8);

        for (var step = 0; step < last.Length; step++)
            last[step].Should().BeApproximately(contiguous[step], 2e-4 * contiguous[step], "step {0}", step);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Checkpoints_of_channels_last_and_contiguous_weights_are_interchangeable(bool channelsLast)
    {
        using var folder = new TemporaryFolder();
        using var first = Network();
        using var second = Network(seed: 2);
        using var trainer = Trainer(first, new TrainerOptions { ChannelsLast = channelsLast });
        using var other = Trainer(second, new TrainerOptions { ChannelsLast = !channelsLast });
        using var batch = Batch(0);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("one"));

        other.Resume(folder.File("one"));
        other.Save(folder.File("two"));

        foreach (var file in (string[])["model.safetensors", "ema.safetensors", "optimizer.safetensors"])
            Bits.OfFolder(folder.File("two"))[file].Should().Be(Bits.OfFolder(folder.File("one"))[file]);
    }

    [Fact]
    public void A_checkpoint_holds_the_float32_weights_and_the_network_sees_them_after_a_resume()
    {
        using var folder = new TemporaryFolder();
        using var first = Network();
        using var second = Network(seed: 2);
        var options = new TrainerOptions { Precision = Precision.BFloat16 };
        using var trainer = Trainer(first, options);
        using var other = Trainer(second, options);
        using var batch = Batch(0);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("one"));

        var saved = Safetensors.Load(folder.File("one/model.safetensors"));
        saved.Values.Should().OnlyContain(t => t.dtype == ScalarType.Float32);
        other.Resume(folder.File("one"));
        foreach (var (name, parameter) in second.named_parameters())
            Bits.Of(parameter).Should().Be(Bits.Of(saved[name].to(parameter.dtype)), name);

        var average = Safetensors.Load(folder.File("one/ema.safetensors"));
        using (other.UseEma())
        {
            foreach (var (name, parameter) in second.named_parameters())
                Bits.Of(parameter).Should().Be(Bits.Of(average[name].to(parameter.dtype)), name);
        }

        foreach (var (name, parameter) in second.named_parameters())
            Bits.Of(parameter).Should().Be(Bits.Of(saved[name].to(parameter.dtype)), name);
    }

    [Fact]
    public void A_network_gets_its_float32_weights_back_and_can_be_trained_again()
    {
        using var unet = Network();
        var options = new TrainerOptions { Precision = Precision.BFloat16 };
        using var batch = Batch(0);
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> kept;
        using (var trainer = Trainer(unet, options))
        {
            trainer.TrainStep(batch);
            using var folder = new TemporaryFolder();
            trainer.Save(folder.File("one"));
            kept = Safetensors.Load(folder.File("one/model.safetensors"));
        }

        foreach (var (name, parameter) in unet.named_parameters())
            Bits.Of(parameter).Should().Be(Bits.Of(kept[name]), name);
        using var x = zeros([2, 1, 8, 8]);
        using var t = zeros([2], dtype: ScalarType.Int64);
        unet.Predict(x, t).dtype.Should().Be(ScalarType.Float32);
        using var again = Trainer(unet, options);
        again.TrainStep(batch);
        again.SkippedSteps.Should().Be(0);
    }

    [Fact]
    public void A_trainer_that_cannot_be_made_leaves_the_network_as_it_was()
    {
        using var unet = Network();
        var before = unet.state_dict().ToDictionary(entry => entry.Key, entry => Bits.Of(entry.Value));

        var make = () => Trainer(unet, new TrainerOptions { Precision = Precision.BFloat16, Optimizer = new AdamW { Beta1 = 2.0 } });

        make.Should().Throw<ArgumentOutOfRangeException>();
        foreach (var (name, tensor) in unet.state_dict())
            Bits.Of(tensor).Should().Be(before[name], name);
    }

    [Fact]
    public void Gradients_of_the_parts_of_a_batch_add_up_in_float32()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(1, 1, hasBias: false);
        using var flat = new FlatParameters(model, precision: Precision.BFloat16);
        for (var part = 0; part < 300; part++)
        {
            // The sum stops at 256 in bfloat16, whose next number is 258.
            model.call(ones([1, 1], dtype: ScalarType.BFloat16)).sum().backward();
            flat.CollectGradients();
        }

        flat.Gradients.sum().item<float>().Should().Be(300f);
    }

    [Fact]
    public void The_factor_on_the_loss_falls_and_grows_as_written_out()
    {
        var scaling = new GradScaler { Initial = 64, GrowthInterval = 3 };
        using var model = nn.Linear(2, 2);
        using var flat = new FlatParameters(model);
        using var scale = new GradScale(scaling, flat.Layout);
        var (factor, streak) = (64.0, 0);
        using var random = new Generator(3);
        for (var step = 0; step < 200; step++)
        {
            using var scope = NewDisposeScope();
            var (taken, finiteLoss) = (step % 7 is not (2 or 3) && step is < 60 or > 75, step % 14 != 3);
            var mend = scale.Update(tensor(taken ? 1.0 : 0.0), tensor(taken || finiteLoss ? 1.0 : 0.0).gt(0.0)).item<double>();

            mend.Should().Be(!taken && (!finiteLoss || factor <= 1.0) ? 1.0 : 0.0, "step {0}", step);
            streak = taken ? streak + 1 : 0;
            if (taken && streak == 3)
                (factor, streak) = (2 * factor, 0);
            if (!taken && finiteLoss)
                factor /= 2;
            scale.Value.item<double>().Should().Be(factor, "step {0}", step);
        }
    }

    [Fact]
    public void Overflows_are_skipped_without_counting_towards_divergence_and_bad_data_counts()
    {
        using var model = nn.Linear(4, 4);
        var options = new TrainerOptions { Precision = Precision.Float16(new GradScaler { Initial = 16 }), MaxGradNorm = null };
        using var engine = new OptimizerStep(new FlatParameters(model), options);
        var before = Bits.Of(engine.Parameters.Values);
        for (var step = 1; step <= 4; step++)
            Apply(float.PositiveInfinity, 1.0, step);

        engine.Skipped.Should().Be(4);
        engine.SkippedInARow.Should().Be(0);
        engine.GradScale!.Value.item<double>().Should().Be(1.0);
        Apply(float.PositiveInfinity, 1.0, 5);
        engine.SkippedInARow.Should().Be(1, "no factor below one would help");
        Apply(float.NaN, double.NaN, 6);
        engine.SkippedInARow.Should().Be(2);
        Bits.Of(engine.Parameters.Values).Should().Be(before);
        Apply(1f, 1.0, 7);
        engine.SkippedInARow.Should().Be(0);

        void Apply(float gradient, double loss, long step)
        {
            using var value = tensor(loss);
            engine.Parameters.ZeroGradients();
            engine.Parameters.Gradients.fill_(gradient);
            engine.Apply(value, 1e-3, step);
        }
    }

    [Fact]
    public void Gradients_of_the_scaled_loss_are_those_of_the_loss()
    {
        using var plain = nn.Linear(4, 4);
        using var scaled = nn.Linear(4, 4);
        scaled.load_state_dict(plain.state_dict());
        var options = new TrainerOptions();
        using var first = new OptimizerStep(new FlatParameters(plain), options);
        using var second = new OptimizerStep(new FlatParameters(scaled), options with { Precision = Precision.Float16() });
        for (var step = 1; step <= 5; step++)
        {
            using var scope = NewDisposeScope();
            foreach (var (model, engine) in ((TorchSharp.Modules.Linear, OptimizerStep)[])[(plain, first), (scaled, second)])
            {
                engine.Parameters.ZeroGradients();
                var loss = model.call(ones(2, 4)).square().mean();
                (engine.GradScale?.Scale(loss) ?? loss).backward();
                engine.Apply(loss.detach(), 1e-3, step);
            }
        }

        Bits.Of(second.Parameters.Values).Should().Be(Bits.Of(first.Parameters.Values), "a power of two costs no digits");
    }

    private static double[] Losses(TrainerOptions options, int steps)
    {
        using var unet = Network();
        using var trainer = Trainer(unet, options);
        using var batch = Batch(0);
        var losses = new double[steps];
        for (var step = 0; step < steps; step++)
        {
            trainer.TrainStep(batch);
            losses[step] = trainer.LastLoss;
        }

        return losses;
    }

    private static UNet Network(long seed = 1)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var unet = new UNet(new UNetOptions
        {
            ImageSize = 8,
            Channels = 1,
            Width = 8,
            Multipliers = [1, 2],
            LayersPerBlock = 1,
            GroupNormGroups = 4,
            MiddleAttention = false,
        });
        using var generator = new Generator((ulong)seed);
        foreach (var (name, parameter) in unet.named_parameters())
        {
            if (parameter.dim() > 1)
                parameter.copy_(randn(parameter.shape, generator: generator).mul_(Math.Sqrt(1.0 / (parameter.numel() / parameter.shape[0]))));
            else if (name.EndsWith("bias", StringComparison.Ordinal))
                parameter.fill_(0.0);
        }

        return unet;
    }

    private static Batch Batch(ulong seed)
    {
        using var generator = new Generator(seed);
        using var noise = randn([4, 1, 8, 8], generator: generator);
        return new Batch(noise.tanh());
    }

    private static DdpmTrainer Trainer(UNet unet, TrainerOptions options)
        => new(unet, DiscreteSchedule.Linear(), new SimpleLoss(), options with { Seed = 5 });
}
