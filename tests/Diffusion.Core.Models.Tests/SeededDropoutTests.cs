using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SeededDropoutTests
{
    [Fact]
    public void In_training_elements_are_zero_or_scaled_at_the_rate_asked_for()
    {
        using var scope = NewDisposeScope();
        using var dropout = new SeededDropout(0.25);
        using var generator = new Generator(1);
        using var use = TrainingRandom.Use(generator);

        var values = dropout.call(ones(100_000)).data<float>().ToArray();

        values.Should().OnlyContain(value => value == 0 || Math.Abs(value - (1 / 0.75f)) < 1e-6);
        var dropped = values.Count(value => value == 0) / 100_000.0;
        dropped.Should().BeApproximately(0.25, 5 * Math.Sqrt(0.25 * 0.75 / 100_000));
    }

    [Theory]
    [InlineData(0.5, false)]
    [InlineData(0.0, true)]
    public void In_evaluation_or_at_probability_0_it_is_the_identity(double probability, bool training)
    {
        using var scope = NewDisposeScope();
        using var dropout = new SeededDropout(probability);
        dropout.train(training);
        var x = randn(5);

        var result = dropout.call(x);

        result.Should().NotBeSameAs(x);
        result.data<float>().ToArray().Should().Equal(x.data<float>().ToArray());
    }

    [Fact]
    public void The_gradient_passes_where_the_value_does()
    {
        using var scope = NewDisposeScope();
        using var dropout = new SeededDropout(0.5);
        var x = ones(64).requires_grad_(true);

        var result = dropout.call(x);
        result.sum().backward();

        x.grad!.data<float>().ToArray().Should().Equal(result.data<float>().ToArray());
    }

    [Fact]
    public void One_seed_gives_one_mask_in_every_precision_and_another_seed_another()
    {
        using var scope = NewDisposeScope();
        using var dropout = new SeededDropout(0.5);
        bool[] Mask(ulong seed, ScalarType type)
        {
            using var generator = new Generator(seed);
            using var use = TrainingRandom.Use(generator);
            return dropout.call(ones([64], dtype: type)).ne(0).data<bool>().ToArray();
        }

        var mask = Mask(3, ScalarType.Float32);

        Mask(3, ScalarType.Float32).Should().Equal(mask);
        Mask(3, ScalarType.Float64).Should().Equal(mask);
        Mask(3, ScalarType.BFloat16).Should().Equal(mask);
        Mask(4, ScalarType.Float32).Should().NotEqual(mask);
    }

    [Fact]
    public void Scopes_nest_and_end_and_belong_to_their_thread()
    {
        using var outer = new Generator(1);
        using var inner = new Generator(2);
        TrainingRandom.Current.Should().BeNull();
        using (TrainingRandom.Use(outer))
        {
            var nested = TrainingRandom.Use(inner);
            TrainingRandom.Current.Should().BeSameAs(inner);
            nested.Dispose();
            nested.Dispose();
            TrainingRandom.Current.Should().BeSameAs(outer);
            Generator? elsewhere = outer;
            var thread = new Thread(() => elsewhere = TrainingRandom.Current);
            thread.Start();
            thread.Join();
            elsewhere.Should().BeNull();
        }

        TrainingRandom.Current.Should().BeNull();
    }

    [Fact]
    public void A_network_with_dropout_repeats_itself_under_one_seed_and_is_deterministic_in_inference()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetOptions
        {
            ImageSize = 8,
            Channels = 1,
            Width = 8,
            Multipliers = [1],
            LayersPerBlock = 1,
            Dropout = 0.3,
            ZeroOutput = false,
        });
        var x = randn(1, 1, 8, 8);
        var t = tensor(new long[] { 4 });
        float[] Run(ulong seed)
        {
            using var generator = new Generator(seed);
            using var use = TrainingRandom.Use(generator);
            return unet.Predict(x, t).data<float>().ToArray();
        }

        Run(1).Should().Equal(Run(1));
        Run(1).Should().NotEqual(Run(2));
        using (unet.BeginInference())
            Run(1).Should().Equal(Run(2));
        Run(1).Should().NotEqual(Run(2));
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.0)]
    [InlineData(double.NaN)]
    public void A_probability_outside_0_to_1_is_refused(double probability)
        => FluentActions.Invoking(() => new SeededDropout(probability)).Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*[0, 1)*{probability}*");
}
