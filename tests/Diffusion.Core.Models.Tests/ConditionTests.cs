using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class ConditionTests
{
    private static readonly DiTOptions _small = new() { ImageSize = 4, Width = 8, Depth = 1, Heads = 2, Classes = 3, VectorWidth = 3 };

    [Fact]
    public void Samples_of_the_mask_take_the_other_condition_in_every_part()
    {
        using var scope = NewDisposeScope();
        using var condition = Whole(3, seed: 1);
        using var other = Whole(1, seed: 2);
        using var mask = tensor(new[] { false, true, false });
        using var result = condition.Replace(mask, other);
        foreach (var (actual, mine, theirs) in Parts(result).Zip(Parts(condition), Parts(other)))
        {
            actual!.dtype.Should().Be(mine!.dtype);
            for (var k = 0; k < 3; k++)
                actual[k].Values().Should().Equal((k == 1 ? theirs![0] : mine[k]).Values());
        }

        using var batch = Whole(3, seed: 3);
        using var replaced = condition.Replace(mask, batch);
        replaced.Labels!.Values().Should().Equal(
            condition.Labels!.Values()[0], batch.Labels!.Values()[1], condition.Labels!.Values()[2]);
    }

    [Fact]
    public void Parts_that_either_lacks_stay_and_the_result_owns_its_tensors()
    {
        using var scope = NewDisposeScope();
        using var image = ones([2, 1, 4, 4]);
        using var condition = new Condition { Labels = tensor(new long[] { 1, 2 }), Image = image };
        using var other = new Condition { Labels = tensor(new long[] { 9 }), Vector = ones([1, 3]) };
        using var mask = tensor(new[] { true, true });
        using (var result = condition.Replace(mask, other))
        {
            result.Labels!.Values().Should().Equal(9, 9);
            result.Vector.Should().BeNull();
            result.Image!.ShouldBeIdentical(image, "image");
        }

        image.IsInvalid.Should().BeFalse();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Where_only_one_has_a_sequence_mask_the_other_is_attended_to_whole(bool mine)
    {
        using var scope = NewDisposeScope();
        Condition Make(long batch, bool masked) => new()
        {
            EncoderHiddenStates = ones([batch, 3, 2]),
            EncoderAttentionMask = masked ? zeros([batch, 3], dtype: ScalarType.Bool) : null,
        };
        using var condition = Make(2, mine);
        using var other = Make(1, !mine);
        using var mask = tensor(new[] { true, false });
        using var result = condition.Replace(mask, other);
        result.EncoderAttentionMask!.Values().Should().Equal(mine ? [1, 1, 1, 0, 0, 0] : [0, 0, 0, 1, 1, 1]);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        using var condition = new Condition { Vector = ones([2, 3]) };
        using var mask = tensor(new[] { true, false });
        void Refuse(Condition other, Tensor? samples = null)
            => FluentActions.Invoking(() => condition.Replace(samples ?? mask, other)).Should().Throw<ArgumentException>();
        Refuse(new Condition { Vector = ones([1, 4]) });
        Refuse(new Condition { Vector = ones([3]) });
        Refuse(new Condition { Vector = ones([3, 3]) });
        Refuse(new Condition { Vector = ones([1, 3], dtype: ScalarType.Float64) });
        Refuse(new Condition { Vector = ones([1, 3]) }, ones([2]));
        Refuse(new Condition { Vector = ones([1, 3]) }, tensor(new[] { true }));
        using var both = new Condition { Labels = tensor(new long[] { 1, 2 }), Vector = ones([2, 3]) };
        using var other = new Condition { Labels = tensor(new long[] { 9 }), Vector = ones([1, 4]) };
        LiveTensors.Change(() => FluentActions.Invoking(() => both.Replace(mask, other)).Should().Throw<ArgumentException>())
            .Should().Be(0, "what was replaced before the fault is freed");
    }

    [Fact]
    public void Conditions_are_dropped_in_training_mode_only_and_with_the_given_probability()
    {
        using var scope = NewDisposeScope();
        using var network = new Recorder();
        using var empty = Condition.OfLabels([10]);
        var dropping = new ConditionDropout(network, 0.2, empty);
        using var x = zeros([5000, 1]);
        using var labels = Condition.OfLabels([.. Enumerable.Repeat(3L, 5000)]);
        double Rate()
        {
            using var generator = new Generator(1);
            using var use = TrainingRandom.Use(generator);
            dropping.Predict(x, x, labels).Dispose();
            var seen = network.Labels!;
            seen.Should().OnlyContain(label => label == 3 || label == 10);
            return seen.Count(label => label == 10) / 5000.0;
        }

        var rate = Rate();
        // The standard deviation of the mean of 5000 draws is 0.0057.
        rate.Should().BeApproximately(0.2, 0.02);
        Rate().Should().Be(rate, "the draws are the generator's");
        using (dropping.BeginInference())
            Rate().Should().Be(0);
        Rate().Should().Be(rate);
        dropping.Predict(x, x).Dispose();
        network.Labels.Should().BeNull();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Labels_are_not_dropped_twice()
    {
        using var dropping = new DiT(_small with { LabelDropout = 0.1 });
        using var keeping = new DiT(_small with { LabelDropout = 0 });
        using var none = Condition.OfLabels([2]);
        using var vector = new Condition { Vector = zeros([1, 3]) };

        FluentActions.Invoking(() => new ConditionDropout(dropping, 0.1, none))
            .Should().Throw<ArgumentException>().WithMessage("*must not drop them itself*0.1*LabelDropout*");
        new ConditionDropout(keeping, 0.1, none).Probability.Should().Be(0.1);
        new ConditionDropout(dropping, 0.1, vector).Probability.Should().Be(0.1, "labels and vectors are dropped each on their own");
    }

    [Fact]
    public void An_image_is_joined_to_the_channels()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetOptions
        {
            ImageSize = 8,
            Channels = 3,
            OutChannels = 1,
            Width = 8,
            Multipliers = [1],
            LayersPerBlock = 1,
            ZeroOutput = false,
        });
        var network = new ImageConditioned(unet);
        var (x, image, t) = (randn(2, 1, 8, 8), randn(2, 2, 8, 8), tensor(new long[] { 1, 2 }));
        using var condition = new Condition { Image = image };
        network.Predict(x, t, condition).ShouldBeIdentical(unet.Predict(cat([x, image], 1), t), "answer");
        FluentActions.Invoking(() => network.Predict(x, t)).Should().Throw<ArgumentException>().WithMessage("*image*");
        using var small = new Condition { Image = randn(2, 2, 4, 8) };
        FluentActions.Invoking(() => network.Predict(x, t, small)).Should().Throw<ArgumentException>().WithMessage("*must have shape*8, 8], got*4, 8]*");
    }

    [Fact]
    public void Live_tensors_stay_constant()
    {
        using var network = new Recorder();
        using var empty = Condition.OfLabels([10]);
        var dropping = new ConditionDropout(new ImageConditioned(network), 0.5, empty);
        using var x = zeros([2, 1]);
        using var condition = new Condition { Labels = tensor(new long[] { 1, 2 }), Image = ones([2, 1]) };
        LiveTensors.Change(() =>
        {
            for (var k = 0; k < 5; k++)
                dropping.Predict(x, x, condition).Dispose();
        }).Should().Be(0);
    }

    private static Condition Whole(long batch, long seed)
    {
        using var generator = new Generator((ulong)seed);
        return new Condition
        {
            Labels = randint(0, 100, [batch], dtype: ScalarType.Int64, generator: generator),
            Vector = randn([batch, 3], generator: generator),
            EncoderHiddenStates = randn([batch, 4, 2], generator: generator),
            EncoderAttentionMask = rand([batch, 4], generator: generator).gt(0.5),
            Image = randn([batch, 2, 3, 3], dtype: ScalarType.Float64, generator: generator),
        };
    }

    private static Tensor?[] Parts(Condition condition)
        => [condition.Labels, condition.Vector, condition.EncoderHiddenStates, condition.EncoderAttentionMask, condition.Image];

    /// <summary>Keeps the labels it is given.</summary>
    private sealed class Recorder() : DenoisingNetwork(nameof(Recorder))
    {
        public long[]? Labels { get; private set; }

        public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
        {
            Labels = condition?.Labels?.data<long>().ToArray();
            return xt.alias();
        }
    }
}
