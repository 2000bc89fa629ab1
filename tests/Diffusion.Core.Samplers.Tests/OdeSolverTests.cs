using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public sealed class OdeSolverTests
{
    // A turn in the plane, faster and faster: its angle is the integral of 1 + s.
    private static readonly OdeFunction Oscillator = (s, y) => cat([y.narrow(1, 1, 1).mul(1.0 + s), y.narrow(1, 0, 1).mul(-1.0 - s)], 1);

    private static Dictionary<string, ButcherTableau> Tableaus { get; } = new()
    {
        ["euler"] = ButcherTableau.Euler,
        ["heun"] = ButcherTableau.Heun,
        ["rk4"] = ButcherTableau.RungeKutta4,
        ["dormand-prince"] = ButcherTableau.DormandPrince5,
    };

    public static TheoryData<string> Names => [.. Tableaus.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Fixed_steps_converge_with_the_order_of_the_method(string name)
    {
        var tableau = Tableaus[name];

        var (coarse, fine) = (Error(new RungeKutta(tableau, 160)), Error(new RungeKutta(tableau, 320)));

        Math.Log2(coarse / fine).Should().BeApproximately(tableau.Order, 0.15);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_tableau_meets_the_conditions_of_its_order(string name)
    {
        var tableau = Tableaus[name];

        // sum_i b_i c_i^(k - 1) = 1 / k for k up to the order: the method integrates polynomials exactly.
        for (var k = 1; k <= tableau.Order; k++)
        {
            var sum = 0.0;
            for (var i = 0; i < tableau.Stages; i++)
                sum += tableau.Weights[i] * Math.Pow(tableau.Nodes[i], k - 1);
            sum.Should().BeApproximately(1.0 / k, 1e-14);
        }
    }

    [Fact]
    public void The_embedded_method_of_dormand_and_prince_is_of_order_four()
    {
        var tableau = ButcherTableau.DormandPrince5;
        for (var k = 1; k <= 5; k++)
        {
            var sum = 0.0;
            for (var i = 0; i < 7; i++)
                sum += (tableau.Weights[i] - tableau.Error[i]) * Math.Pow(tableau.Nodes[i], k - 1);
            if (k <= 4)
                sum.Should().BeApproximately(1.0 / k, 1e-14);
            else
                sum.Should().NotBeApproximately(1.0 / k, 1e-6);
        }
    }

    [Theory]
    [InlineData(1e-3)]
    [InlineData(1e-5)]
    [InlineData(1e-7)]
    [InlineData(1e-9)]
    [InlineData(1e-11)]
    public void The_adaptive_method_keeps_its_tolerance(double tolerance)
        => Error(new DormandPrince(tolerance, tolerance)).Should().BeLessThan(20.0 * tolerance).And.BeGreaterThan(0.0);

    [Fact]
    public void A_finer_tolerance_costs_as_many_calls_as_the_fifth_order_says()
    {
        var (coarse, fine) = (Calls(1e-5), Calls(1e-10));

        // 10^(5/5) times the steps.
        (fine / coarse).Should().BeInRange(6.0, 14.0);

        double Calls(double tolerance)
        {
            var calls = 0;
            Error(new DormandPrince(tolerance, tolerance), () => calls++);
            return calls;
        }
    }

    [Fact]
    public void Steps_are_short_where_the_solution_is_fast_and_long_elsewhere()
    {
        using var scope = NewDisposeScope();
        var visited = new List<double>();
        Tensor Pulse(double s, Tensor y)
        {
            visited.Add(s);
            return y.mul(0.0).add(Math.Exp(-0.5 * Math.Pow((s - 5.0) / 0.05, 2.0)) / (0.05 * Math.Sqrt(2.0 * Math.PI)));
        }

        var result = Run(new DormandPrince(1e-8, 1e-8, maxSteps: 2000), Pulse, zeros([1, 1], dtype: ScalarType.Float64).add(1.0), 4.0, 6.0);

        result.item<double>().Should().BeApproximately(2.0, 1e-7);
        visited.Count(s => Math.Abs(s - 5.0) < 0.2).Should().BeGreaterThan(2 * visited.Count(s => Math.Abs(s - 5.0) > 0.5));
    }

    [Fact]
    public void There_and_back_is_where_it_started()
    {
        using var scope = NewDisposeScope();
        var y = tensor(new[] { 1.0, 0.3, -2.0, 0.5 }).reshape(2, 2);
        foreach (var solver in new IOdeSolver[] { new DormandPrince(1e-10, 1e-10), new RungeKutta(ButcherTableau.RungeKutta4, 400) })
        {
            var there = Run(solver, Oscillator, y, 0.5, 2.0);

            Run(solver, Oscillator, there, 2.0, 0.5).ShouldBeClose(y, 1e-8, "the start");
        }
    }

    [Fact]
    public void No_way_at_all_is_a_copy_and_the_state_is_left_alone()
    {
        using var scope = NewDisposeScope();
        var y = tensor(new[] { 1.0, 2.0 }).reshape(1, 2);
        foreach (var solver in new IOdeSolver[] { new DormandPrince(), new RungeKutta(ButcherTableau.Heun, 3) })
        {
            var same = Run(solver, Oscillator, y, 1.0, 1.0);
            same.ShouldBeIdentical(y, "the state");
            same.Should().NotBeSameAs(y);
            Run(solver, Oscillator, y, 1.0, 2.0).Values().Should().NotEqual(y.Values());
            y.Values().Should().Equal(1.0, 2.0);
        }
    }

    [Fact]
    public void Same_call_same_answer_and_nothing_is_left_behind()
    {
        using var y = tensor(new[] { 1.0, 2.0 }).reshape(1, 2);
        foreach (var solver in new IOdeSolver[] { new DormandPrince(), new RungeKutta(ButcherTableau.RungeKutta4, 20) })
        {
            double[] Solve()
            {
                using var result = Run(
                    solver,
                    (s, state) =>
                    {
                        using var scope = NewDisposeScope();
                        return Oscillator(s, state).MoveToOuterDisposeScope();
                    },
                    y,
                    0.0,
                    2.0);
                return result.Values();
            }

            Solve().Should().Equal(Solve());
            LiveTensors.Change(() => Solve()).Should().Be(0);
        }
    }

    [Fact]
    public void Memory_does_not_grow_with_the_steps()
    {
        using var y = tensor(new[] { 1.0, 2.0 }).reshape(1, 2);
        long Most(IOdeSolver solver)
        {
            var (before, most) = (Tensor.TotalCount, 0L);
            using var result = Run(
                solver,
                (s, state) =>
                {
                    most = Math.Max(most, Tensor.TotalCount - before);
                    return state.mul(-1.0);
                },
                y,
                0.0,
                5.0);
            return most;
        }

        Most(new RungeKutta(ButcherTableau.RungeKutta4, 500)).Should().Be(Most(new RungeKutta(ButcherTableau.RungeKutta4, 5)));
        Most(new DormandPrince(1e-10, 1e-10)).Should().Be(Most(new DormandPrince(1e-4, 1e-4)));
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_cannot_be_integrated_is_refused()
    {
        using var scope = NewDisposeScope();
        var y = tensor(new[] { 1.0, 2.0 }).reshape(1, 2);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        foreach (var solver in new IOdeSolver[] { new DormandPrince(), new RungeKutta(ButcherTableau.Euler, 3) })
        {
            FluentActions.Invoking(() => Run(solver, null!, y, 0.0, 1.0)).Should().Throw<ArgumentNullException>();
            FluentActions.Invoking(() => Run(solver, Oscillator, y, 0.0, double.PositiveInfinity)).Should().Throw<ArgumentException>();
            FluentActions.Invoking(() => Run(solver, (_, state) => state.narrow(1, 0, 1).clone(), y, 0.0, 1.0))
                .Should().Throw<ArgumentException>().WithMessage("*[1, 2], got [1, 1]*");
            FluentActions.Invoking(() => Run(solver, (_, state) => state.to(ScalarType.Float32), y, 0.0, 1.0))
                .Should().Throw<ArgumentException>();
            FluentActions.Invoking(() => solver.Integrate(Oscillator, y, 0.0, 1.0, cancelled.Token))
                .Should().Throw<OperationCanceledException>();
        }

        // The solution of dy/ds = y^2 has a pole at s = 1.
        var one = ones([1, 1], dtype: ScalarType.Float64);
        FluentActions.Invoking(() => new DormandPrince().Integrate((_, state) => state.square(), one, 0.0, 2.0))
            .Should().Throw<ArithmeticException>();
        FluentActions.Invoking(() => new DormandPrince(1e-10, 1e-10, maxSteps: 3).Integrate(Oscillator, y, 0.0, 9.0))
            .Should().Throw<ArithmeticException>().WithMessage("*more than 3 steps*");
        FluentActions.Invoking(() => new DormandPrince(0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new RungeKutta(ButcherTableau.Euler, 0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new ButcherTableau(1, [[]], [0.5])).Should().Throw<ArgumentException>().WithMessage("*sum to 1*");
        FluentActions.Invoking(() => new ButcherTableau(1, [[1.0]], [1.0])).Should().Throw<ArgumentException>();
    }

    private static Tensor Run(IOdeSolver solver, OdeFunction function, Tensor y, double from, double to)
        => solver.Integrate(function, y, from, to, TestContext.Current.CancellationToken);

    /// <summary>At s = 3: the oscillator turns by the integral of its rate, 1 + s.</summary>
    private static double Error(IOdeSolver solver, Action? called = null)
    {
        using var scope = NewDisposeScope();
        var end = Run(
            solver,
            (s, y) =>
            {
                called?.Invoke();
                return Oscillator(s, y);
            },
            tensor(new[] { 1.0, 0.0 }).reshape(1, 2),
            0.0,
            3.0).Values();
        return Math.Sqrt(Math.Pow(end[0] - Math.Cos(7.5), 2.0) + Math.Pow(end[1] + Math.Sin(7.5), 2.0));
    }
}
