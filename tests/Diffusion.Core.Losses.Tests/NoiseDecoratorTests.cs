using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class NoiseDecoratorTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Linear();

    [Fact]
    public void Offset_noise_shifts_each_channel_of_each_sample_by_one_draw_in_x_t_and_in_the_target()
    {
        using var scope = torch.NewDisposeScope();
        var x0 = torch.zeros([200, 3, 4, 4], dtype: torch.ScalarType.Float64);
        var noise = torch.zeros_like(x0);
        var t = torch.full([200], 700L, dtype: torch.ScalarType.Int64);
        torch.Tensor? seen = null;
        var denoiser = new FunctionDenoiser((xt, _) =>
        {
            seen = xt.clone().DetachFromDisposeScope();
            return xt.mul(1.0 / Schedule.Sigma(700));
        });
        using var model = denoiser.On(Schedule);

        using var terms = Seeded(3, generator => new OffsetNoise(new SimpleLoss(), 0.1).Evaluate(new LossContext(model, x0, t, noise) { Generator = generator }));

        // Without data x_t is sigma times the noise, so this network is perfect: the target was shifted as x_t was.
        terms.Loss.data<double>().ToArray().Should().OnlyContain(loss => loss < 1e-30);
        using var shown = seen!;
        var shift = shown.mul(1.0 / Schedule.Sigma(700));
        shift.sub(shift.mean([2L, 3L], keepdim: true)).abs().max().item<double>().Should().BeLessThan(1e-15);
        var draws = shift.mean([2L, 3L]).reshape(-1).data<double>().ToArray();
        draws.Distinct().Should().HaveCount(600);

        // Five standard errors of the deviation of 600 draws.
        Math.Sqrt(draws.Average(draw => draw * draw)).Should().BeApproximately(0.1, 5.0 * 0.1 / Math.Sqrt(2.0 * 600));
    }

    [Fact]
    public void Input_perturbation_changes_what_the_network_sees_and_not_its_target()
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator(5);
        var x0 = torch.randn([100, 2, 8], dtype: torch.ScalarType.Float64, generator: generator);
        var noise = torch.randn([100, 2, 8], dtype: torch.ScalarType.Float64, generator: generator);
        var t = torch.full([100], 300L, dtype: torch.ScalarType.Int64);
        torch.Tensor? seen = null;
        var denoiser = new FunctionDenoiser((xt, _) =>
        {
            seen = xt.clone().DetachFromDisposeScope();
            return noise.clone();
        });
        using var model = denoiser.On(Schedule);
        var clean = model.Process.Sample(x0, t, noise);

        using var terms = Seeded(3, generator => new InputPerturbation(new SimpleLoss(), 0.2).Evaluate(new LossContext(model, x0, t, noise) { Generator = generator }));

        terms.Loss.data<double>().ToArray().Should().OnlyContain(loss => loss == 0.0);
        using var shown = seen!;
        var added = shown.sub(clean).mul(1.0 / Schedule.Sigma(300)).data<double>().ToArray();
        Math.Sqrt(added.Average(value => value * value)).Should().BeApproximately(0.2, 5.0 * 0.2 / Math.Sqrt(2.0 * added.Length));
    }

    [Fact]
    public void A_perturbation_is_scaled_as_the_input_of_the_network_is()
    {
        using var scope = torch.NewDisposeScope();
        var prediction = Prediction.Edm();
        var x0 = torch.zeros([400, 16], dtype: torch.ScalarType.Float64);
        var t = torch.full([400], 300L, dtype: torch.ScalarType.Int64);
        torch.Tensor? seen = null;
        var denoiser = new FunctionDenoiser((xt, _) =>
        {
            seen = xt.clone().DetachFromDisposeScope();
            return xt.clone();
        });
        using var model = denoiser.On(Schedule, prediction);

        var loss = new InputPerturbation(new SimpleLoss(), 0.2);
        using var terms = Seeded(3, generator => loss.Evaluate(new LossContext(model, x0, t, x0) { Generator = generator }));

        var expected = 0.2 * Schedule.Sigma(300) * prediction.InputScale!(Schedule.LevelAt(300));
        using var shown = seen!;
        var values = shown.data<double>().ToArray();
        Math.Sqrt(values.Average(value => value * value))
            .Should().BeApproximately(expected, 5.0 * expected / Math.Sqrt(2.0 * values.Length));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_generator_of_the_step_decides_and_nothing_is_left_behind(bool offset)
    {
        using var x = torch.ones([2, 3, 4]);
        using var t = torch.tensor(new long[] { 10, 900 }, dtype: torch.ScalarType.Int64);
        using var model = new FunctionDenoiser((xt, _) => xt.mul(0.5)).On(Schedule);
        IDiffusionLoss loss = offset ? new OffsetNoise(new SimpleLoss()) : new InputPerturbation(new SimpleLoss());
        float[] Losses(ulong seed)
        {
            using var terms = Seeded(seed, generator => loss.Evaluate(new LossContext(model, x, t, x) { Generator = generator }));
            return terms.Loss.data<float>().ToArray();
        }

        Losses(1).Should().Equal(Losses(1)).And.NotEqual(Losses(2));
        LiveTensors.Change(() => Losses(1)).Should().Be(0);
    }

    [Fact]
    public void They_go_around_each_other_and_around_any_loss()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones([2, 3, 4]);
        var t = torch.tensor(new long[] { 10, 900 }, dtype: torch.ScalarType.Int64);
        using var model = new FunctionDenoiser((xt, _) => torch.cat([xt, xt], 1)).On(Schedule, learnsVariance: true);
        var loss = new OffsetNoise(new InputPerturbation(new HybridLoss()));

        using var terms = Seeded(1, generator => loss.Evaluate(new LossContext(model, x, t, x) { Generator = generator }));

        terms.Names.Should().Equal("loss", "mse", "vlb");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_negative_strength_and_no_loss_are_refused()
    {
        FluentActions.Invoking(() => new OffsetNoise(new SimpleLoss(), -0.1)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new InputPerturbation(new SimpleLoss(), double.NaN)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new OffsetNoise(null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => new InputPerturbation(null!)).Should().Throw<ArgumentNullException>();
    }

    private static LossTerms Seeded(ulong seed, Func<torch.Generator, LossTerms> evaluate)
    {
        using var generator = new torch.Generator(seed);
        return evaluate(generator);
    }
}
