using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>DPM-Solver-12 and -23 in y = x / alpha over lambda = -log(sigma / alpha), with an estimate of the error.</summary>
/// <remarks>Source: Lu et al. 2022, "DPM-Solver", Algorithms 1 and 2 and appendix C.</remarks>
internal sealed class DpmAdaptiveMethod(DpmAdaptiveSampler sampler, IEvaluator evaluator, INoiseSource noise) : AdaptiveMethod
{
    private readonly StepSizeController _steps = new(sampler.Control, sampler.Eta > 0.0 ? 1.5 : sampler.Order);
    private readonly double _end = sampler.Schedule.LevelAt(sampler.EndTime).Lambda;
    private double _lambda = sampler.Schedule.LevelAt(sampler.StartTime).Lambda;
    private double _time = sampler.StartTime;

    /// <summary>The less exact of the last two solutions, against which the next error is measured too.</summary>
    private Tensor? _previous;

    public override double Time => _time;

    public override NoiseLevel Level => sampler.Schedule.LevelAt(_time);

    public override bool IsAtEnd => _time == sampler.EndTime;

    public override Tensor? TryStep(Tensor x)
    {
        using var scope = NewDisposeScope();
        var target = Math.Min(_lambda + _steps.Step, _end);
        var (from, to) = (Math.Exp(-_lambda), Math.Exp(-target));
        var (down, up) = RatioAlgebra.Ancestral(from, to, sampler.Eta);
        if (up > 0.0)
        {
            // No further down than the end, where the schedule ends too.
            down = Math.Max(down, Math.Exp(-_end));
            up = Math.Sqrt((to - down) * (to + down));
        }

        var y = x.Div(Level.Alpha);
        var slope = Slope(y, _lambda);
        var (low, high) = sampler.Order == 2 ? FirstAndSecond(y, slope, -Math.Log(down)) : SecondAndThird(y, slope, -Math.Log(down));
        if (!_steps.Accepts(Error(sampler.Control, low.sub(high), low, _previous ?? y)))
            return null;

        if (up > 0.0)
            high.Add_(noise.Draw(x, from, to), alpha: up * sampler.NoiseScale);
        Forget();
        _previous = low.DetachFromDisposeScope();
        (_lambda, _time) = (target, target == _end ? sampler.EndTime : TimeOf(target));
        return high.Mul_(Level.Alpha).MoveToOuterDisposeScope();
    }

    public override void Forget()
    {
        _previous?.Dispose();
        _previous = null;
    }

    private double TimeOf(double lambda) => sampler.Schedule.TimeOf(2.0 * lambda);

    /// <summary>eps at a point of the trajectory.</summary>
    private Tensor Slope(Tensor y, double lambda)
    {
        var time = lambda == _lambda ? _time : lambda == _end ? sampler.EndTime : TimeOf(lambda);
        var level = sampler.Schedule.LevelAt(time);
        using var x = y.Mul(level.Alpha);
        using var evaluation = evaluator.Evaluate(x, time, level);
        return evaluation.Noise.clone();
    }

    private (Tensor Low, Tensor High) FirstAndSecond(Tensor y, Tensor slope, double target)
    {
        var middle = 0.5 * (_lambda + target);
        var between = Slope(Euler(y, slope, middle), middle);
        return (Euler(y, slope, target), Euler(y, between, target));
    }

    private (Tensor Low, Tensor High) SecondAndThird(Tensor y, Tensor slope, double target)
    {
        var h = target - _lambda;
        var (first, second) = (_lambda + (h / 3.0), _lambda + (2.0 * h / 3.0));
        var atFirst = Slope(Euler(y, slope, first), first).sub_(slope);
        var low = Euler(y, slope, target).Add_(atFirst, alpha: 1.5 * Length(target));
        var middle = Euler(y, slope, second).Add_(atFirst, alpha: -2.0 * Curvature(2.0 * h / 3.0, second));
        var atSecond = Slope(middle, second).sub_(slope);
        return (low, Euler(y, slope, target).Add_(atSecond, alpha: -1.5 * Curvature(h, target)));
    }

    /// <summary>Along one slope from here to a lambda.</summary>
    private Tensor Euler(Tensor y, Tensor slope, double target) => y.Add(slope, alpha: Length(target));

    /// <summary>r' - r, for r = exp(-lambda).</summary>
    private double Length(double target) => Math.Exp(-target) - Math.Exp(-_lambda);

    /// <summary><c>r' ((e^h - 1) / h - 1)</c>, what a slope that changes along the way counts.</summary>
    private static double Curvature(double h, double target) => Math.Exp(-target) * h * PhiFunction.Of(2, h);
}
