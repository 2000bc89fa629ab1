using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Decorated networks in the trainer, which knows of no decorator.</summary>
public class ConditionedTrainingTests
{
    private const int Classes = 3;

    [Fact]
    public void Dropped_conditions_are_drawn_again_by_a_resumed_run()
    {
        using var folder = new TemporaryFolder();
        void Part(string to, long steps, string? from)
        {
            using var model = Network();
            using var empty = Condition.OfLabels([Classes]);
            using var trainer = Trainer(new ConditionDropout(model, 0.5, empty), steps);
            if (from is not null)
                trainer.Resume(folder.File(from));
            trainer.Run(new LabelledPoints());
            trainer.Save(folder.File(to));
        }

        Part("whole", 12, null);
        Part("half", 6, null);
        manual_seed(77);
        Part("resumed", 12, "half");
        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
    }

    [Fact]
    public void Each_part_of_a_batch_comes_with_its_own_labels()
    {
        (float[] Weights, long[] Labels) Train(int? part)
        {
            using var model = Network();
            var watched = new Watched(model);
            using var trainer = new DdpmTrainer(watched, Runs.Schedule, new SimpleLoss(), Runs.Options with
            {
                MicroBatchSize = part,
                // Plain descent: the weights tell the gradients, size and all.
                Optimizer = new Sgd { Momentum = 0.0 },
            });
            trainer.Run(new LabelledPoints());
            var weights = model.named_parameters().SelectMany(p => p.parameter.detach().clone().data<float>().ToArray());
            return ([.. weights], [.. watched.Labels]);
        }

        var whole = Train(null);
        foreach (var part in (int[])[1, 3])
        {
            var parts = Train(part);
            parts.Labels.Should().Equal(whole.Labels);
            parts.Weights.Zip(whole.Weights, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(2e-6f);
        }
    }

    [Fact]
    public void Guidance_at_one_and_zero_is_the_conditional_and_the_unconditional_network()
    {
        using var scope = NewDisposeScope();
        using var network = Network();
        using var empty = Condition.OfLabels([Classes]);
        var dropping = new ConditionDropout(network, 0.5, empty);
        using var trainer = Trainer(dropping, 10);
        trainer.Run(new LabelledPoints());

        Tensor Sample(DiffusionModel model, long label)
        {
            using var condition = Condition.OfLabels([label, label]);
            return new DdimSampler(4, options: Runs.Clipped).Sample(
                model, new SamplingRequest { Shape = [2, 2], Seed = 3, Condition = condition }, cancellationToken: TestContext.Current.CancellationToken);
        }

        var (conditional, unconditional) = (Sample(trainer.Ema, 1), Sample(trainer.Ema, Classes));
        conditional.Values().Should().NotEqual(unconditional.Values());
        Sample(Guidance.ClassifierFree(trainer.Ema, 1, Classes), 1).ShouldBeIdentical(conditional, "scale 1");
        Sample(Guidance.ClassifierFree(trainer.Ema, 0, Classes), 1).ShouldBeIdentical(unconditional, "scale 0");
        Sample(dropping.On(Runs.Schedule), 1).ShouldBeIdentical(Sample(network.On(Runs.Schedule), 1), "sampling drops nothing");
    }

    [Fact]
    public void Training_an_adapter_lowers_the_loss_and_leaves_the_network_alone()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = Network();
        var before = model.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.clone());
        using var adapter = LoraAdapter.Inject(model, new LoraOptions { Rank = 2, Targets = name => name.StartsWith("layers", StringComparison.Ordinal) });
        using var trainer = Trainer(new LoraDenoiser(model, adapter), 60);
        var losses = new List<double>();
        trainer.Run(new LabelledPoints(), new DirectProgress(report => losses.Add(report.Loss)));

        losses[^1].Should().BeLessThan(losses[0]);
        foreach (var (name, value) in model.state_dict())
            value.ShouldBeIdentical(before[name], name);
        adapter.named_parameters().Where(entry => entry.name.EndsWith("lora_B.weight", StringComparison.Ordinal)).Should()
            .OnlyContain(entry => entry.parameter.abs().sum().item<float>() > 0);
        trainer.Save(folder.File("run"));
        using var file = SafetensorsFile.Open(folder.File("run/model.safetensors"));
        file.Names.Should().BeEquivalentTo(adapter.state_dict().Keys);
    }

    [Fact]
    public void Checkpointed_activations_train_to_the_same_weights_bit_for_bit()
    {
        string Train(bool checkpointed)
        {
            manual_seed(6);
            using var model = new Deep(checkpointed);
            using var trainer = Trainer(model, 8);
            trainer.Run(new LabelledPoints());
            return string.Join(';', model.named_parameters().Select(entry => Bits.Of(entry.parameter)));
        }

        Train(true).Should().Be(Train(false));
    }

    private static MlpDenoiser Network()
    {
        manual_seed(2);
        return new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 2, FourierFeatures = 1, Classes = Classes + 1 });
    }

    private static DdpmTrainer Trainer(ITrainableDenoiser model, long steps)
        => new(model, Runs.Schedule, new SimpleLoss(), Runs.Options with { Steps = steps, LogEvery = 10 });

    private sealed class LabelledPoints : IDataset
    {
        private readonly Points _points = new(60);

        public long Count => _points.Count;

        public IReadOnlyList<long> SampleShape => _points.SampleShape;

        public Batch Load(ReadOnlySpan<long> indices)
        {
            using var points = _points.Load(indices);
            return new Batch(points.Samples.clone(), Condition.OfLabels([.. indices.ToArray().Select(index => index % Classes)]));
        }
    }

    /// <summary>A network, with the labels it was told.</summary>
    private sealed class Watched(ITrainableDenoiser inner) : ITrainableDenoiser
    {
        public List<long> Labels { get; } = [];

        public nn.Module Module => inner.Module;

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            condition!.Labels!.shape[0].Should().Be(xt.shape[0]);
            Labels.AddRange(condition.Labels.data<long>().ToArray());
            return inner.Predict(xt, t, condition);
        }
    }

    /// <summary>Layers with dropout in blocks.</summary>
    private sealed class Deep : DenoisingNetwork
    {
        private readonly nn.Module<Tensor, Tensor>[] _blocks =
            [.. Enumerable.Range(0, 3).Select(_ => nn.Sequential(nn.Linear(2, 8), nn.GELU(), new SeededDropout(0.2), nn.Linear(8, 2)))];

        private readonly bool _checkpointed;

        public Deep(bool checkpointed)
            : base(nameof(Deep))
        {
            _checkpointed = checkpointed;
            for (var k = 0; k < _blocks.Length; k++)
                register_module($"{k}", _blocks[k]);
        }

        public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
        {
            using var scope = NewDisposeScope();
            var x = xt;
            foreach (var block in _blocks)
                x = GradientCheckpointing.RunIf(_checkpointed && training, block.call, x);
            return x.MoveToOuterDisposeScope();
        }
    }
}
