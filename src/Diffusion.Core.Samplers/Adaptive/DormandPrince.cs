using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The adaptive method of Dormand and Prince (RK45), of fifth order. The size of each step is chosen from an estimate of its error.
/// </summary>
/// <remarks>
/// <para>Source: Dormand and Prince 1980; Hairer, Norsett and Wanner 1993, sections II.4 and II.5, for the step size control and the first
/// step.</para>
/// <para>All samples of a batch take the same steps: the error is the root mean square over the whole state of
/// <c>error / (atol + rtol max(|y|, |y next|))</c>. The results for a sample in two different batches therefore agree within the
/// tolerances, but not bit for bit.</para>
/// <para>Each attempted step waits for the device once, to read its error; the first one waits three more times.</para>
/// </remarks>
/// <param name="relativeTolerance">rtol, greater than 0. The default is 1e-5.</param>
/// <param name="absoluteTolerance">atol, greater than 0. The default is 1e-5.</param>
/// <param name="maxSteps">
/// The maximum number of steps, including rejected ones, after which the integration throws. The default is 10,000.
/// </param>
public sealed class DormandPrince(double relativeTolerance = 1e-5, double absoluteTolerance = 1e-5, int maxSteps = 10_000) : IOdeSolver
{
    private const double Safety = 0.9;
    private const double MostShrinking = 0.2;
    private const double MostGrowth = 10.0;

    private static readonly ButcherTableau _tableau = ButcherTableau.DormandPrince5;

    /// <summary>rtol, the relative tolerance.</summary>
    public double RelativeTolerance { get; } = Guard.Positive(relativeTolerance);

    /// <summary>atol, the absolute tolerance.</summary>
    public double AbsoluteTolerance { get; } = Guard.Positive(absoluteTolerance);

    /// <summary>The maximum number of steps, including rejected ones, after which the integration throws.</summary>
    public int MaxSteps { get; } = Guard.InRange(maxSteps, 1, int.MaxValue);

    /// <inheritdoc/>
    /// <exception cref="ArithmeticException">
    /// The solution is not finite or not smooth, or the integration needs more than <see cref="MaxSteps"/> steps.
    /// </exception>
    public Tensor Integrate(OdeFunction function, Tensor y, double from, double to, CancellationToken cancellationToken = default)
    {
        RungeKutta.Check(function, y, from, to);
        using var scope = NewDisposeScope();
        var state = y.clone();
        if (from == to)
            return state.MoveToOuterDisposeScope();
        var direction = Math.Sign(to - from);
        var slope = RungeKutta.Slope(function, from, state);
        var length = FirstStep(function, state, slope, from, direction);
        var (s, refused) = (from, false);
        for (var step = 0; step < MaxSteps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var last = length >= Math.Abs(to - s) * (1.0 - 1e-12);
            var h = last ? to - s : direction * length;
            var (next, nextSlope, error) = Step(function, state, slope, s, h);
            length = Math.Abs(h) * Factor(error, refused);
            refused = !(error <= 1.0);
            (refused ? next : state).Dispose();
            (refused ? nextSlope : slope).Dispose();
            if (!refused)
                (state, slope, s) = (next, nextSlope, s + h);
            if (last && !refused)
                return state.MoveToOuterDisposeScope();
            if (!(length > 1e-14 * Math.Max(Math.Abs(s), Math.Abs(to - from))))
                throw new ArithmeticException(
                    Invariant($"The step size has decreased to {length} at {s}: the solution is not smooth or not finite."));
        }

        throw new ArithmeticException(
            Invariant($"The interval from {from} to {to} needs more than {MaxSteps} steps; integration stopped at {s}."));
    }

    /// <summary>Returns the factor by which the step size is multiplied. After a rejected step it is at most 1.</summary>
    private static double Factor(double error, bool refused)
    {
        if (!double.IsFinite(error))
            return MostShrinking;
        var most = refused || error > 1.0 ? 1.0 : MostGrowth;
        return error == 0.0 ? most : Math.Clamp(Safety * Math.Pow(error, -1.0 / _tableau.Order), MostShrinking, most);
    }

    private (Tensor Next, Tensor Slope, double Error) Step(OdeFunction function, Tensor y, Tensor slope, double s, double h)
    {
        using var scope = NewDisposeScope();
        var (next, last, difference) = RungeKutta.EmbeddedStep(_tableau, function, y, slope, s, h);
        var error = Norm(difference, y, next);
        return (next.MoveToOuterDisposeScope(), last.MoveToOuterDisposeScope(), error);
    }

    private double Norm(Tensor values, Tensor first, Tensor second)
    {
        var scale = first.abs().maximum(second.abs()).Mul(RelativeTolerance).Add(AbsoluteTolerance);
        return values.div(scale).Square().mean().sqrt().to(ScalarType.Float64).item<double>();
    }

    private double FirstStep(OdeFunction function, Tensor y, Tensor slope, double from, int direction)
    {
        using var scope = NewDisposeScope();
        var (size, speed) = (Norm(y, y, y), Norm(slope, y, y));
        var trial = size < 1e-5 || speed < 1e-5 ? 1e-6 : 0.01 * size / speed;
        var ahead = RungeKutta.Combine(y, direction * trial, [1.0], [slope]);
        var bend = Norm(RungeKutta.Slope(function, from + (direction * trial), ahead).sub(slope), y, y) / trial;
        var steepest = Math.Max(speed, bend);
        var fitting = steepest <= 1e-15 ? Math.Max(1e-6, 1e-3 * trial) : Math.Pow(0.01 / steepest, 1.0 / _tableau.Order);
        return Math.Min(100.0 * trial, fitting);
    }
}
