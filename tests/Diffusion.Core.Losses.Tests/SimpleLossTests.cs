using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class SimpleLossTests
{
    private static readonly Prediction[] Predictions =
        [Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.PreviousMean];

    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Linear();

    private static readonly FunctionDenoiser Silent = new((xt, _) => xt.mul(0.0));

    public static TheoryData<string> Names => [.. Predictions.Select(prediction => prediction.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_silent_network_has_the_mean_square_of_its_target(string name)
    {
        using var scope = torch.NewDisposeScope();
        var prediction = Predictions.Single(candidate => candidate.Name == name);
        using var generator = new torch.Generator(1);
        var x0 = torch.randn([2, 3, 4], dtype: torch.ScalarType.Float64, generator: generator);
        var noise = torch.randn([2, 3, 4], dtype: torch.ScalarType.Float64, generator: generator);
        var (data, eps) = (x0.reshape(-1).data<double>().ToArray(), noise.reshape(-1).data<double>().ToArray());
        long[] times = [3, 700];
        using var model = Silent.On(Schedule, prediction);

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(times), noise));

        var losses = terms.Loss.data<double>().ToArray();
        for (var sample = 0; sample < 2; sample++)
        {
            var t = (int)times[sample];
            var target = prediction.Target(Schedule.LevelAt(t), Schedule.LevelAt(t - 1));
            var sum = 0.0;
            for (var i = sample * 12; i < (sample + 1) * 12; i++)
                sum += Math.Pow(target.Apply(data[i], eps[i]), 2.0);
            losses[sample].Should().BeApproximately(sum / 12.0, 1e-14);
        }
    }

    [Fact]
    public void Eps_is_the_prediction_unless_said_otherwise()
    {
        Silent.On(Schedule).Prediction.Should().BeSameAs(Prediction.Epsilon);
        Silent.On(Schedule, Prediction.Velocity).Prediction.Should().BeSameAs(Prediction.Velocity);
    }

    [Fact]
    public void The_network_is_told_the_times_it_knows_and_shown_the_input_it_wants()
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise) = (torch.ones([2, 3], dtype: torch.ScalarType.Float64), torch.zeros([2, 3], dtype: torch.ScalarType.Float64));
        long[] told = [];
        double[] shown = [];
        var denoiser = new FunctionDenoiser((input, t) =>
        {
            (told, shown) = (t.data<long>().ToArray(), input.select(1, 0).contiguous().data<double>().ToArray());
            return input.mul(0.0);
        });
        using var model = denoiser.On(Schedule.Respaced("ddim50"), Prediction.Edm(1.0));

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(7, 49), noise));

        told.Should().Equal(140, 980);
        shown[0].Should().BeApproximately(Schedule.Alpha(140), 1e-12, "a preserved variance needs no scale");
        shown[1].Should().BeApproximately(Schedule.Alpha(980), 1e-12);
    }

    [Fact]
    public void One_sample_of_a_batch_has_the_loss_it_has_alone()
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator(1);
        var (x0, noise) = (torch.randn([3, 2, 5], generator: generator), torch.randn([3, 2, 5], generator: generator));
        using var model = new FunctionDenoiser((xt, _) => xt.mul(0.5)).On(Schedule);

        using var batch = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(1, 500, 999), noise));
        using var alone = new SimpleLoss().Evaluate(new LossContext(model, x0.narrow(0, 1, 1), Times(500), noise.narrow(0, 1, 1)));

        batch.Loss.shape.Should().Equal(3);
        alone.Loss.item<float>().Should().Be(batch.Loss.data<float>().ToArray()[1]);
    }

    [Fact]
    public void The_terms_are_the_loss_with_gradients_and_mse_without()
    {
        using var scope = torch.NewDisposeScope();
        var weight = torch.ones([1], dtype: torch.ScalarType.Float64).requires_grad_();
        var x = torch.ones([2, 3], dtype: torch.ScalarType.Float64);
        using var model = new FunctionDenoiser((xt, _) => xt.mul(weight)).On(Schedule);

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x, Times(0, 999), x));

        terms.Names.Should().Equal("loss", "mse");
        terms.Loss.requires_grad.Should().BeTrue();
        terms["mse"].requires_grad.Should().BeFalse();
        terms["mse"].data<double>().ToArray().Should().Equal(terms.Loss.detach().data<double>().ToArray());
    }

    [Fact]
    public void The_gradient_is_that_of_the_closed_form()
    {
        using var scope = torch.NewDisposeScope();
        var weight = torch.ones([1], dtype: torch.ScalarType.Float64).mul(0.3).detach().requires_grad_();
        var x0 = torch.ones([2, 3], dtype: torch.ScalarType.Float64).mul(0.7);
        var noise = torch.ones([2, 3], dtype: torch.ScalarType.Float64).mul(-1.3);
        using var model = new FunctionDenoiser((xt, _) => xt.mul(weight)).On(Schedule);

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(10, 600), noise));
        terms.Loss.mean().backward();

        double Gradient(int t)
        {
            var xt = (Schedule.Alpha(t) * 0.7) + (Schedule.Sigma(t) * -1.3);
            return 2.0 * ((0.3 * xt) + 1.3) * xt;
        }

        weight.grad!.item<double>().Should().BeApproximately((Gradient(10) + Gradient(600)) / 2.0, 1e-14);
    }

    [Fact]
    public void A_perfect_network_has_no_loss_and_a_condition_is_passed_on()
    {
        using var scope = torch.NewDisposeScope();
        using var condition = Condition.OfLabels([1, 2]);
        var (x0, noise) = (torch.ones([2, 1, 4, 4]), torch.ones([2, 1, 4, 4]).mul(-0.5));
        var denoiser = new FunctionDenoiser((_, _) => noise.clone());
        using var model = denoiser.On(Schedule);

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(5, 900), noise, condition));

        terms.Loss.data<float>().ToArray().Should().Equal(0f, 0f);
        denoiser.LastCondition.Should().BeSameAs(condition);
    }

    [Fact]
    public void The_layout_of_the_answer_does_not_matter()
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator(1);
        var (x0, noise) = (torch.randn([2, 3, 4, 4], generator: generator), torch.randn([2, 3, 4, 4], generator: generator));
        using var model = new FunctionDenoiser((xt, _) => xt.clone()).On(Schedule);
        var permuted = model.With(new FunctionDenoiser((xt, _) => xt.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)));

        using var terms = new SimpleLoss().Evaluate(new LossContext(permuted, x0, Times(5, 900), noise));
        using var plain = new SimpleLoss().Evaluate(new LossContext(model, x0, Times(5, 900), noise));

        RelativeError.OfSamples(terms.Loss, plain.Loss).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void One_loss_serves_any_number_of_schedules_and_threads()
    {
        using var x = torch.ones([1, 2], dtype: torch.ScalarType.Float64);
        using var t = Times(50);
        var loss = new SimpleLoss();
        DiscreteSchedule[] schedules = [DiscreteSchedule.Linear(100), DiscreteSchedule.Cosine(100), DiscreteSchedule.ScaledLinear(100)];
        var models = schedules.Select(schedule => Silent.On(schedule, Prediction.Velocity)).ToArray();
        var wrong = 0;

        Parallel.For(0, 60, i =>
        {
            using var scope = torch.NewDisposeScope();
            var model = models[i % 3].With(new FunctionDenoiser((xt, _) => xt.mul(0.0)));
            using var terms = loss.Evaluate(new LossContext(model, x, t, x));
            var expected = Math.Pow(schedules[i % 3].Alpha(50) - schedules[i % 3].Sigma(50), 2.0);
            if (Math.Abs(terms.Loss.item<double>() - expected) > 1e-14)
                Interlocked.Increment(ref wrong);
        });

        wrong.Should().Be(0);
        foreach (var model in models)
            model.Dispose();
    }

    [Fact]
    public void A_continuous_schedule_is_trained_at_floating_point_times()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = new LinearVpSchedule();
        using var model = Silent.On(schedule, Prediction.Velocity);
        var x = torch.ones([2, 2], dtype: torch.ScalarType.Float64);

        using var terms = new SimpleLoss().Evaluate(
            new LossContext(model, x, torch.tensor(new[] { 0.2, 0.8 }, dtype: torch.ScalarType.Float64), x));

        terms.Loss.data<double>().ToArray()[1].Should().BeApproximately(Math.Pow(schedule.Alpha(0.8) - schedule.Sigma(0.8), 2.0), 1e-14);
    }

    [Fact]
    public void Tensors_that_do_not_fit_each_other_are_refused_with_nothing_left_behind()
    {
        using var x = torch.ones([2, 3]);
        using var other = torch.ones([2, 4]);
        using var t = Times(0, 999);
        using var one = Times(0);
        using var silent = Silent.On(Schedule);
        var doubling = silent.With(new FunctionDenoiser((xt, _) => torch.cat([xt, xt], 1)));
        new SimpleLoss().Evaluate(new LossContext(silent, x, t, x)).Dispose();

        void Refuses(DiffusionModel model, torch.Tensor time, torch.Tensor noise, string message)
            => LiveTensors.Change(() => FluentActions.Invoking(() => new SimpleLoss().Evaluate(new LossContext(model, x, time, noise)))
                .Should().Throw<ArgumentException>().WithMessage(message)).Should().Be(0);

        Refuses(silent, t, other, "*[2, 3]*[2, 4]*");
        Refuses(silent, one, x, "*t must have shape [2], got [1]*");
        Refuses(doubling, t, x, "*must return shape [2, 3] for an input of [2, 3], got [2, 6]*");
        FluentActions.Invoking(() => new SimpleLoss().Evaluate(null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => new SimpleLoss().Evaluate(new LossContext(null!, x, t, x))).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => Silent.On(null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Live_tensors_stay_constant_over_many_steps()
    {
        using var weight = torch.ones([1]).requires_grad_();
        using var x = torch.ones([2, 3]);
        using var t = Times(0, 999);
        var loss = new SimpleLoss();
        using var model = new FunctionDenoiser((xt, _) => xt.mul(weight)).On(Schedule, Prediction.Velocity);
        void Step()
        {
            using var terms = loss.Evaluate(new LossContext(model, x, t, x));
            using var mean = terms.Loss.mean();
            mean.backward();
        }

        Step();

        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 1000; i++)
                Step();
        }).Should().Be(0);
        LossTerms? kept = null;
        LiveTensors.Change(() => kept = loss.Evaluate(new LossContext(model, x, t, x))).Should().Be(2);
        kept!.Dispose();
    }

    private static torch.Tensor Times(params long[] t) => torch.tensor(t, dtype: torch.ScalarType.Int64);
}
