using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Solves the probability flow ODE to a tolerance with the method of Dormand and Prince (RK45), for flow matching and every other process,
/// from pure noise or from a level that still contains signal.
/// Example: <c>new ProbabilityFlowSampler().Sample(model, [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>
/// The integration variable is the angle phi = atan(sigma / alpha), in which the ODE of <c>z = x / sqrt(alpha^2 + sigma^2)</c> is
/// <c>dz / dphi = cos(phi) eps - sin(phi) x_0</c>. Its right-hand side is bounded at both ends and is the same for every process. The
/// method is of fifth order. It needs six network calls for each attempted step, and one more for the first step.
/// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", section 4.3; Dormand and Prince
/// 1980; Salimans and Ho 2022, appendix D, for the angle.
/// </remarks>
public sealed class ProbabilityFlowSampler : AdaptiveSampler
{
    /// <summary>Initializes a new instance of the <see cref="ProbabilityFlowSampler"/> class.</summary>
    /// <param name="control">
    /// The tolerances and the initial step size. The default is a relative and an absolute tolerance of 1e-5.
    /// </param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentException">
    /// An argument is outside its range. Sampling throws if the prediction does not determine x_0 and eps at the start and end times.
    /// </exception>
    public ProbabilityFlowSampler(StepSizeControl? control = null, SamplerOptions? options = null)
        : base(control ?? new StepSizeControl { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-5 }, options)
    {
    }

    /// <inheritdoc/>
    internal override AdaptiveMethod Begin(AdaptiveSpan span, IEvaluator evaluator, INoiseSource noise)
        => new ProbabilityFlowMethod(Control, span, evaluator);
}

/// <summary>The method of Dormand and Prince in z = x / sqrt(alpha^2 + sigma^2) over the angle atan(sigma / alpha).</summary>
internal sealed class ProbabilityFlowMethod(StepSizeControl control, AdaptiveSpan span, IEvaluator evaluator) : AdaptiveMethod
{
    // The rounding error of an angle.
    private const double Rounding = 1e-14;

    private static readonly ButcherTableau _tableau = ButcherTableau.DormandPrince5;
    private readonly StepSizeController _steps = new(control, _tableau.Order);
    private readonly double _start = Angle(span.Schedule.LevelAt(span.StartTime));
    private readonly double _end = Angle(span.Schedule.LevelAt(span.EndTime));
    private double _angle = Angle(span.Schedule.LevelAt(span.StartTime));

    /// <summary>The slope at the end of the last step: the last stage of a step is the first stage of the next.</summary>
    private Tensor? _slope;

    public override double Time => TimeOf(_angle);

    public override NoiseLevel Level => span.Schedule.LevelAt(Time);

    public override bool IsAtEnd => _angle == _end;

    public override Tensor? TryStep(Tensor x)
    {
        using var scope = NewDisposeScope();
        var target = Math.Max(_angle - _steps.Step, _end);
        var h = target - _angle;
        var z = x.Div(Norm(Level));
        _slope ??= Slope(_angle, z).DetachFromDisposeScope();
        var (next, last, difference) = RungeKutta.EmbeddedStep(_tableau, Slope, z, _slope, _angle, h);
        if (!_steps.Accepts(Error(control, difference, z, next)))
            return null;
        Forget();
        _slope = last.DetachFromDisposeScope();
        _angle = target;
        return next.Mul_(Norm(Level)).MoveToOuterDisposeScope();
    }

    public override void Forget()
    {
        _slope?.Dispose();
        _slope = null;
    }

    private static double Angle(NoiseLevel level) => Math.Atan2(level.Sigma, level.Alpha);

    private static double Norm(NoiseLevel level) => Math.Sqrt((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma));

    private double TimeOf(double angle)
        => angle >= _start - Rounding ? span.StartTime
            : angle <= _end + Rounding ? span.EndTime
            : span.Schedule.TimeOf(2.0 * (Math.Log(Math.Cos(angle)) - Math.Log(Math.Sin(angle))));

    private Tensor Slope(double angle, Tensor z)
    {
        var time = TimeOf(angle);
        var level = span.Schedule.LevelAt(time);
        using var x = z.Mul(Norm(level));
        using var evaluation = evaluator.Evaluate(x, time, level);
        return new LinearPair(Math.Cos(angle), -Math.Sin(angle)).Apply(evaluation.Epsilon, evaluation.X0);
    }
}
