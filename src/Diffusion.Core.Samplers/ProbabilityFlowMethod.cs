using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>The pair of Dormand and Prince in z = x / sqrt(alpha^2 + sigma^2) over the angle atan(sigma / alpha).</summary>
/// <remarks>Source: Hairer, Norsett and Wanner 1993, "Solving Ordinary Differential Equations I", table II.5.2.</remarks>
internal sealed class ProbabilityFlowMethod(ProbabilityFlowSampler sampler, IEvaluator evaluator) : AdaptiveMethod
{
    private static readonly double[] _nodes = [0.0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1.0, 1.0];

    /// <summary>Row i gives stage i; the last is also the solution of fifth order.</summary>
    private static readonly double[][] _weights =
    [
        [],
        [1.0 / 5],
        [3.0 / 40, 9.0 / 40],
        [44.0 / 45, -56.0 / 15, 32.0 / 9],
        [19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729],
        [9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656],
        [35.0 / 384, 0.0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84],
    ];

    /// <summary>The solution of fifth order less the one of fourth.</summary>
    private static readonly double[] _error =
        [71.0 / 57600, 0.0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40];

    private readonly StepSizeController _steps = new(sampler.Control, order: 5.0);
    private readonly double _start = Angle(sampler.Schedule.LevelAt(sampler.StartTime));
    private readonly double _end = Angle(sampler.Schedule.LevelAt(sampler.EndTime));
    private double _angle = Angle(sampler.Schedule.LevelAt(sampler.StartTime));

    /// <summary>The slope where the last step ended: the last stage of a step is the first of the next.</summary>
    private Tensor? _slope;

    public override double Time => TimeOf(_angle);

    public override NoiseLevel Level => sampler.Schedule.LevelAt(Time);

    public override bool IsAtEnd => _angle == _end;

    public override Tensor? TryStep(Tensor x)
    {
        using var scope = NewDisposeScope();
        var target = Math.Max(_angle - _steps.Step, _end);
        var h = target - _angle;
        var z = x.div(Norm(Level));
        var slopes = new Tensor[_nodes.Length];
        slopes[0] = _slope ??= Slope(z, _angle).DetachFromDisposeScope();
        var next = z;
        for (var stage = 1; stage < slopes.Length; stage++)
        {
            next = Combine(z, h, _weights[stage], slopes);
            slopes[stage] = Slope(next, _nodes[stage] == 1.0 ? target : _angle + (h * _nodes[stage]));
        }

        var difference = Combine(null, h, _error, slopes);
        if (!_steps.Accepts(Error(sampler.Control, difference, z, next)))
            return null;
        Forget();
        _slope = slopes[^1].DetachFromDisposeScope();
        _angle = target;
        return next.mul_(Norm(Level)).MoveToOuterDisposeScope();
    }

    public override void Forget()
    {
        _slope?.Dispose();
        _slope = null;
    }

    private static double Angle(NoiseLevel level) => Math.Atan2(level.Sigma, level.Alpha);

    private static double Norm(NoiseLevel level) => Math.Sqrt((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma));

    private static Tensor Combine(Tensor? z, double h, ReadOnlySpan<double> weights, Tensor[] slopes)
    {
        var sum = z?.clone() ?? zeros_like(slopes[0]);
        for (var i = 0; i < weights.Length; i++)
        {
            if (weights[i] != 0.0)
                sum.add_(slopes[i], alpha: h * weights[i]);
        }

        return sum;
    }

    private double TimeOf(double angle)
        => angle == _start ? sampler.StartTime
            : angle == _end ? sampler.EndTime
            : sampler.Schedule.TimeOf(2.0 * (Math.Log(Math.Cos(angle)) - Math.Log(Math.Sin(angle))));

    private Tensor Slope(Tensor z, double angle)
    {
        var time = TimeOf(angle);
        var level = sampler.Schedule.LevelAt(time);
        using var x = z.mul(Norm(level));
        using var evaluation = evaluator.Evaluate(x, time, level);
        return new LinearPair(Math.Cos(angle), -Math.Sin(angle)).Apply(evaluation.Noise, evaluation.Data);
    }
}
