using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class HybridLossTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Cosine(200);

    [Fact]
    public void The_bound_guides_the_variance_and_the_squared_error_the_mean()
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise, t) = Batch();
        torch.Tensor[] GradientsOf(IDiffusionLoss loss)
        {
            var mean = torch.full([1], 0.6, dtype: torch.ScalarType.Float64).requires_grad_();
            var variance = torch.full([1], 0.2, dtype: torch.ScalarType.Float64).requires_grad_();
            using var model = new FunctionDenoiser((xt, _) => torch.cat([xt.mul(mean), xt.mul(0.0).add(variance)], 1))
                .On(Schedule, learnsVariance: true);
            using var terms = loss.Evaluate(new LossContext(model, x0, t, noise));
            return [.. torch.autograd.grad([terms.Loss.mean()], [mean, variance], allow_unused: true)];
        }

        torch.Tensor SimpleGradient()
        {
            var mean = torch.full([1], 0.6, dtype: torch.ScalarType.Float64).requires_grad_();
            using var model = new FunctionDenoiser((xt, _) => xt.mul(mean)).On(Schedule);
            using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, t, noise));
            return torch.autograd.grad([terms.Loss.mean()], [mean])[0];
        }

        var hybrid = GradientsOf(new HybridLoss(vlbWeight: 3.0));
        var bound = GradientsOf(new VlbLoss(variance: ReverseVariance.LearnedRange));

        hybrid[0].item<double>().Should().BeApproximately(SimpleGradient().item<double>(), 1e-14);
        hybrid[1].item<double>().Should().BeApproximately(3.0 * bound[1].item<double>(), 1e-12).And.NotBe(0.0);
        bound[0].item<double>().Should().NotBe(0.0);
    }

    [Fact]
    public void The_gradient_of_the_bound_is_that_of_finite_differences()
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise, t) = Batch();
        LossTerms Terms(torch.Tensor mean, torch.Tensor variance)
        {
            using var model = new FunctionDenoiser((xt, _) => torch.cat([xt.mul(mean), xt.mul(0.0).add(variance)], 1))
                .On(Schedule, learnsVariance: true);
            return new VlbLoss(variance: ReverseVariance.LearnedRange).Evaluate(new LossContext(model, x0, t, noise));
        }

        double Value(double mean, double variance)
        {
            using var terms = Terms(Scalar(mean), Scalar(variance));
            return terms.Loss.mean().item<double>();
        }

        var (mean, variance) = (Scalar(0.6).requires_grad_(), Scalar(0.2).requires_grad_());
        using var evaluated = Terms(mean, variance);
        evaluated.Loss.mean().backward();

        const double Step = 1e-5;
        var byMean = (Value(0.6 + Step, 0.2) - Value(0.6 - Step, 0.2)) / (2.0 * Step);
        var byVariance = (Value(0.6, 0.2 + Step) - Value(0.6, 0.2 - Step)) / (2.0 * Step);
        mean.grad!.item<double>().Should().BeApproximately(byMean, 1e-6 * Math.Abs(byMean));
        variance.grad!.item<double>().Should().BeApproximately(byVariance, 1e-6 * Math.Abs(byVariance));
    }

    [Fact]
    public void The_share_of_one_term_is_T_over_1000_and_may_be_chosen()
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise, t) = Batch();
        using var model = new FunctionDenoiser((xt, _) => torch.cat([xt, xt], 1)).On(Schedule, learnsVariance: true);
        foreach (var (weight, share) in new[] { ((double?)null, 0.2), (2.0, 2.0), (0.0, 0.0) })
        {
            using var terms = new HybridLoss(vlbWeight: weight).Evaluate(new LossContext(model, x0, t, noise));

            terms.Names.Should().Equal("loss", "mse", "vlb");
            terms["vlb"].requires_grad.Should().BeFalse();
            terms.Loss.ShouldBeClose(terms["mse"].add(terms["vlb"].mul(share)), 1e-14, "loss");
        }
    }

    [Fact]
    public void Weighting_and_distance_are_those_of_the_simple_loss()
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise, t) = Batch();
        var simple = new SimpleLoss(Distance.L1, LossWeighting.MinSnr());
        using var fixedVariance = new FunctionDenoiser((xt, _) => xt.clone()).On(Schedule, Prediction.Velocity);
        using var learnedVariance = new FunctionDenoiser((xt, _) => torch.cat([xt, xt], 1))
            .On(Schedule, Prediction.Velocity, learnsVariance: true);
        using var alone = simple.Evaluate(new LossContext(fixedVariance, x0, t, noise));

        using var hybrid = new HybridLoss(simple, vlbWeight: 0.0).Evaluate(new LossContext(learnedVariance, x0, t, noise));

        hybrid.Loss.ShouldBeIdentical(alone.Loss, "loss");
        hybrid["mse"].ShouldBeIdentical(alone["mse"], "mse");
    }

    [Fact]
    public void Live_tensors_stay_constant_over_many_steps()
    {
        using var weight = torch.ones([1]).requires_grad_();
        using var x = torch.ones([2, 3]);
        using var t = torch.tensor(new long[] { 0, 150 }, dtype: torch.ScalarType.Int64);
        using var model = new FunctionDenoiser(Doubled).On(Schedule, learnsVariance: true);
        IDiffusionLoss[] losses = [new HybridLoss(), new VlbLoss(variance: ReverseVariance.Learned) { Rescale = true }];
        void Step()
        {
            foreach (var loss in losses)
            {
                using var terms = loss.Evaluate(new LossContext(model, x, t, x));
                using var mean = terms.Loss.mean();
                mean.backward();
            }
        }

        torch.Tensor Doubled(torch.Tensor xt, torch.Tensor time)
        {
            using var scaled = xt.mul(weight);
            return torch.cat([scaled, scaled], 1);
        }

        Step();
        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 100; i++)
                Step();
        }).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_the_loss_cannot_work_with_is_refused()
    {
        FluentActions.Invoking(() => new HybridLoss(variance: ReverseVariance.FixedSmall))
            .Should().Throw<ArgumentException>().WithMessage("*fixed-small*");
        FluentActions.Invoking(() => new HybridLoss(vlbWeight: -1.0)).Should().Throw<ArgumentOutOfRangeException>();
        using var scope = torch.NewDisposeScope();
        var (x0, noise, t) = Batch();
        var half = new FunctionDenoiser((xt, _) => xt.clone());
        using var model = half.On(Schedule, learnsVariance: true);
        using var continuous = half.On(new LinearVpSchedule(), learnsVariance: true);
        FluentActions.Invoking(() => new HybridLoss().Evaluate(new LossContext(model, x0, t, noise)))
            .Should().Throw<ArgumentException>().WithMessage("*[3, 4, 2] for an input of [3, 2, 2], got [3, 2, 2]*");
        FluentActions.Invoking(() => new HybridLoss().Evaluate(new LossContext(continuous, x0, t, noise)))
            .Should().Throw<ArgumentException>().WithMessage("*DiscreteSchedule*LinearVpSchedule*");
        var (flat, times) = (x0.reshape(12), torch.zeros([12], dtype: torch.ScalarType.Int64));
        FluentActions.Invoking(() => new VlbLoss(variance: ReverseVariance.Learned).Evaluate(new LossContext(model, flat, times, flat)))
            .Should().Throw<ArgumentException>().WithMessage("*[B, C, ...]*");
    }

    private static (torch.Tensor X0, torch.Tensor Noise, torch.Tensor T) Batch()
    {
        using var generator = new torch.Generator(4);
        var x0 = torch.rand([3, 2, 2], dtype: torch.ScalarType.Float64, generator: generator).mul(2.0).sub(1.0);
        var noise = torch.randn([3, 2, 2], dtype: torch.ScalarType.Float64, generator: generator);
        return (x0, noise, torch.tensor(new long[] { 0, 60, 190 }, dtype: torch.ScalarType.Int64));
    }

    private static torch.Tensor Scalar(double value) => torch.full([1], value, dtype: torch.ScalarType.Float64);
}
