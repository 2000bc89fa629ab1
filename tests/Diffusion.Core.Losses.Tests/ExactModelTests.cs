using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using MathNet.Numerics;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

/// <summary>
/// The variational bound of the exact model of Gaussian data. Every term is then quadratic in x_0 and eps, so that its mean over them is a
/// sum over a few nodes of Gauss and Hermite, without chance and without error.
/// </summary>
public sealed class ExactModelTests
{
    private const double Mean = 0.3;
    private const double Std = 0.5;

    private static readonly FunctionDenoiser Unused = new((xt, _) => xt.clone());

    // Nodes and weights of a normal variable, exact up to the fifth power.
    private static readonly double[] Nodes = [-Math.Sqrt(3.0), 0.0, Math.Sqrt(3.0)];
    private static readonly double[] Weights = [1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0];

    /// <summary>The entropy of the data in bits, below which no bound can be.</summary>
    private static readonly double Entropy = 0.5 * Math.Log2(2.0 * Math.PI * Math.E * Std * Std);

    [Theory]
    [InlineData(25, 1.111633)]
    [InlineData(50, 1.078879)]
    [InlineData(100, 1.062907)]
    [InlineData(200, 1.054987)]
    [InlineData(1000, 1.048674)]
    [InlineData(4000, 1.047492)]
    public void With_the_large_variance_the_bound_falls_to_the_entropy(int steps, double expected)
    {
        var bound = Bound(steps, new EndingExactly(ReverseVariance.FixedLarge));

        bound.Should().BeApproximately(expected, 1e-6).And.BeGreaterThan(Entropy);
    }

    [Theory]
    [InlineData(25, 5.8157)]
    [InlineData(4000, 1.5457)]
    public void With_the_small_variance_the_bound_stays_far_above_the_entropy(int steps, double expected)
        => Bound(steps, new EndingExactly(ReverseVariance.FixedSmall)).Should().BeApproximately(expected, 5e-5);

    [Theory]
    [InlineData(1000, 1.0, 2.911e-5)]
    public void The_prior_term_is_the_divergence_at_the_end(int steps, double value, double expected)
    {
        using var scope = torch.NewDisposeScope();
        using var bound = new VariationalBound(Unused.On(Schedule(steps)));

        var prior = bound.Prior(torch.full([2, 3], value, dtype: torch.ScalarType.Float64)).data<double>().ToArray();

        prior.Should().AllSatisfy(bits => bits.Should().BeApproximately(expected, 5e-9));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(1000)]
    public void The_prior_term_is_the_integral_of_its_definition(int steps)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Cosine(steps);
        using var bound = new VariationalBound(Unused.On(schedule));
        var level = schedule.LevelAt(steps - 1);

        var prior = bound.Prior(torch.full([1, 1], 0.7, dtype: torch.ScalarType.Float64)).item<double>();

        static double Density(double x, double mean, double std)
            => Math.Exp(-0.5 * Math.Pow((x - mean) / std, 2.0)) / (std * Math.Sqrt(2.0 * Math.PI));
        double Integrand(double x)
        {
            var q = Density(x, level.Alpha * 0.7, level.Sigma);
            return q * Math.Log2(q / Density(x, 0.0, 1.0));
        }

        prior.Should().BeApproximately(Integrate.GaussLegendre(Integrand, -10.0, 10.0, 512), 1e-13);
    }

    private static DiscreteSchedule Schedule(int steps) => DiscreteSchedule.Linear(steps, 0.1 / steps, 20.0 / steps);

    /// <summary>The mean bound over data and noise, in bits.</summary>
    private static double Bound(int steps, ReverseVariance variance)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = steps == 1000 ? DiscreteSchedule.Linear() : Schedule(steps);
        using var bound = new VariationalBound(Unused.On(schedule, Prediction.X0), variance, DataLikelihood.Continuous);
        var count = steps * 9;
        var (x0, noise, weights) = (new double[count], new double[count], new double[count]);
        var times = new long[count];
        for (var i = 0; i < count; i++)
        {
            var (t, a, b) = (i / 9, i % 9 / 3, i % 3);
            (times[i], x0[i], noise[i], weights[i]) = (t, Mean + (Std * Nodes[a]), Nodes[b], Weights[a] * Weights[b]);
        }

        var time = torch.tensor(times, dtype: torch.ScalarType.Int64);
        var data = Column(x0);
        var xt = bound.Process.Sample(data, time, Column(noise));
        var values = xt.data<double>().ToArray();
        for (var i = 0; i < count; i++)
        {
            var level = schedule.LevelAt(times[i]);
            var spread = (level.Alpha * level.Alpha * Std * Std) + (level.Sigma * level.Sigma);
            values[i] = Mean + (level.Alpha * Std * Std / spread * (values[i] - (level.Alpha * Mean)));
        }

        var terms = bound.Term(data, xt, time, Column(values)).data<double>().ToArray();
        var prior = bound.Prior(data).data<double>().ToArray();
        var total = 0.0;
        for (var i = 0; i < count; i++)
            total += weights[i] * (terms[i] + (prior[i] / steps));
        return total;
    }

    /// <summary>
    /// A fixed variance whose final step has the exact variance of x_0 given x_1. The variances of the library follow OpenAI there, and
    /// the last step then costs .16 bits more at T = 1000.
    /// </summary>
    private sealed class EndingExactly(ReverseVariance inner) : ReverseVariance
    {
        public override string Name => inner.Name;

        public override LinearPair LogVariance(ReverseTransition transition)
        {
            var (data, noise) = (Math.Pow(transition.Level.Alpha * Std, 2.0), Math.Pow(transition.Level.Sigma, 2.0));
            return inner.LogVariance(transition with { FinalVariance = Std * Std * noise / (data + noise) });
        }
    }

    private static torch.Tensor Column(double[] values) => torch.tensor(values, dtype: torch.ScalarType.Float64).reshape(-1, 1);
}
