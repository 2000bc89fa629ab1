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
        using var condition = Condition.Create(labels: tensor(new long[] { 1, 2 }), image: image);
        using var other = Condition.Create(labels: tensor(new long[] { 9 }), vector: ones([1, 3]));
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
        Condition Make(long batch, bool masked) => Condition.Create(
            encoderHiddenStates: ones([batch, 3, 2]),
            encoderAttentionMask: masked ? zeros([batch, 3], dtype: ScalarType.Bool) : null);
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
        using var condition = Condition.Create(vector: ones([2, 3]));
        using var mask = tensor(new[] { true, false });
        void Refuse(Condition other, Tensor? samples = null)
            => FluentActions.Invoking(() => condition.Replace(samples ?? mask, other)).Should().Throw<ArgumentException>();
        Refuse(Condition.Create(vector: ones([1, 4])));
        Refuse(Condition.Create(vector: ones([3])));
        Refuse(Condition.Create(vector: ones([3, 3])));
        Refuse(Condition.Create(vector: ones([1, 3], dtype: ScalarType.Float64)));
        Refuse(Condition.Create(vector: ones([1, 3])), ones([2]));
        Refuse(Condition.Create(vector: ones([1, 3])), tensor(new[] { true }));
        using var both = Condition.Create(labels: tensor(new long[] { 1, 2 }), vector: ones([2, 3]));
        using var other = Condition.Create(labels: tensor(new long[] { 9 }), vector: ones([1, 4]));
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
        using var vector = Condition.Create(vector: zeros([1, 3]));

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
        using var condition = Condition.Create(image: image);
        network.Predict(x, t, condition).ShouldBeIdentical(unet.Predict(cat([x, image], 1), t), "answer");
        FluentActions.Invoking(() => network.Predict(x, t)).Should().Throw<ArgumentException>().WithMessage("*image*");
        using var small = Condition.Create(image: randn(2, 2, 4, 8));
        FluentActions.Invoking(() => network.Predict(x, t, small)).Should().Throw<ArgumentException>().WithMessage("*must have shape*8, 8], got*4, 8]*");
    }

    [Fact]
    public void Live_tensors_stay_constant()
    {
        using var network = new Recorder();
        using var empty = Condition.OfLabels([10]);
        var dropping = new ConditionDropout(new ImageConditioned(network), 0.5, empty);
        using var x = zeros([2, 1]);
        using var condition = Condition.Create(labels: tensor(new long[] { 1, 2 }), image: ones([2, 1]));
        LiveTensors.Change(() =>
        {
            for (var k = 0; k < 5; k++)
                dropping.Predict(x, x, condition).Dispose();
        }).Should().Be(0);
    }

    [Fact]
    public void Tensors_that_do_not_belong_together_make_no_condition()
    {
        using var mask = ones([2, 3], ScalarType.Bool);
        using var tokens = zeros(2, 3, 4);
        using var labels = zeros([3], ScalarType.Int64);
        using var scalar = zeros([], ScalarType.Int64);
        using var vector = zeros(2);
        using var wide = ones([2, 4], ScalarType.Bool);
        using var weights = ones(2, 3);

        FluentActions.Invoking(() => Condition.Create(encoderAttentionMask: mask))
            .Should().Throw<ArgumentException>().WithParameterName("encoderAttentionMask");
        FluentActions.Invoking(() => Condition.Create(labels: labels, encoderHiddenStates: tokens))
            .Should().Throw<ArgumentException>().WithMessage("*batch size*3, got 2*").WithParameterName("encoderHiddenStates");
        FluentActions.Invoking(() => Condition.Create(labels: scalar)).Should().Throw<ArgumentException>().WithParameterName("labels");
        FluentActions.Invoking(() => Condition.Create(labels: vector)).Should().Throw<ArgumentException>().WithMessage("*Int64*Float32*");
        FluentActions.Invoking(() => Condition.Create(image: scalar)).Should().Throw<ArgumentException>().WithMessage("*scalar*");
        FluentActions.Invoking(() => Condition.Create(encoderHiddenStates: tokens, encoderAttentionMask: wide))
            .Should().Throw<ArgumentException>().WithMessage("*[2, 3]*[2, 4]*");
        FluentActions.Invoking(() => Condition.Create(encoderHiddenStates: tokens, encoderAttentionMask: weights))
            .Should().Throw<ArgumentException>().WithMessage("*Bool*Float32*");
        foreach (var tensor in (Tensor[])[mask, tokens, labels, scalar, vector, wide, weights])
            tensor.IsInvalid.Should().BeFalse("the caller keeps what no condition has taken");
    }

    [Fact]
    public void A_condition_disposes_its_tensors_and_one_that_derives_from_another_takes_them()
    {
        var tokens = zeros(2, 3, 4);
        var derived = new Derived(Condition.Create(encoderHiddenStates: tokens));

        derived.EncoderHiddenStates.Should().BeSameAs(tokens);
        derived.Dispose();
        tokens.IsInvalid.Should().BeTrue();
    }

    private static Condition Whole(long batch, long seed)
    {
        using var generator = new Generator((ulong)seed);
        return Condition.Create(
            labels: randint(0, 100, [batch], dtype: ScalarType.Int64, generator: generator),
            vector: randn([batch, 3], generator: generator),
            encoderHiddenStates: randn([batch, 4, 2], generator: generator),
            encoderAttentionMask: rand([batch, 4], generator: generator).gt(0.5),
            image: randn([batch, 2, 3, 3], dtype: ScalarType.Float64, generator: generator));
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

    private sealed class Derived(Condition source) : Condition(source);
}
