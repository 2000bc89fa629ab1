using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver with adaptive step sizes, of second or third order. The error of a step is estimated with the method of the next lower order.
/// Example: <c>new DpmAdaptiveSampler().Sample(model, [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>
/// Steps are taken in lambda = log(alpha / sigma), and errors are measured in x / alpha. The schedule must have signal at the start time
/// and noise at the end time.
/// Source: Lu et al. 2022, "DPM-Solver", appendix C; k-diffusion, sample_dpm_adaptive.
/// </remarks>
public sealed class DpmAdaptiveSampler : AdaptiveSampler
{
    /// <summary>Initializes a new instance of the <see cref="DpmAdaptiveSampler"/> class.</summary>
    /// <param name="order">
    /// The order of the method, 2 or 3. It is also the number of network calls for each attempted step. The default is 3.
    /// </param>
    /// <param name="eta">The amount of noise, from 0 (deterministic) to 1 (the noise of the posterior). The default is 0.</param>
    /// <param name="control">
    /// The tolerances and the initial step size. The default is a new <see cref="StepSizeControl"/>, with the values of k-diffusion.
    /// </param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentException">
    /// An argument is outside its range. Sampling throws if the schedule has no signal at the start time or no noise at the end time.
    /// </exception>
    public DpmAdaptiveSampler(
        int order = 3,
        double eta = 0.0,
        StepSizeControl? control = null,
        SamplerOptions? options = null)
        : base(control ?? new StepSizeControl(), options)
    {
        Order = Guard.InRange(order, 2, 3);
        Eta = Guard.InRange(eta, 0.0, 1.0);
    }

    /// <summary>The order of the method, 2 or 3.</summary>
    public int Order { get; }

    /// <summary>The factor that multiplies the standard deviation of the posterior noise, from 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The factor that multiplies the added noise, called s_noise in k-diffusion. The default is 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not finite and greater than 0.</exception>
    public double NoiseScale
    {
        get;
        init => field = Guard.Positive(value);
    } = 1.0;

    /// <inheritdoc/>
    internal override void Validate(AdaptiveSpan span)
    {
        var (start, end) = (span.Schedule.LevelAt(span.StartTime), span.Schedule.LevelAt(span.EndTime));
        if (start.Alpha == 0.0 || end.Sigma == 0.0)
            throw new ArgumentException(
                Invariant($"Steps in log(alpha / sigma) need signal at the start and noise at the end, got {start} and {end}."),
                nameof(span));
    }

    /// <inheritdoc/>
    internal override AdaptiveMethod Begin(AdaptiveSpan span, IEvaluator evaluator, INoiseSource noise)
        => new DpmAdaptiveMethod(this, span, evaluator, noise);
}

/// <summary>DPM-Solver-12 and DPM-Solver-23 in y = x / alpha over lambda = -log(sigma / alpha), with an error estimate.</summary>
/// <remarks>Source: Lu et al. 2022, "DPM-Solver", Algorithms 1 and 2 and appendix C.</remarks>
internal sealed class DpmAdaptiveMethod(DpmAdaptiveSampler sampler, AdaptiveSpan span, IEvaluator evaluator, INoiseSource noise) : AdaptiveMethod
{
    private readonly StepSizeController _steps = new(sampler.Control, sampler.Eta > 0.0 ? 1.5 : sampler.Order);
    private readonly double _end = span.Schedule.LevelAt(span.EndTime).Lambda;
    private double _lambda = span.Schedule.LevelAt(span.StartTime).Lambda;
    private double _time = span.StartTime;

    /// <summary>The less accurate of the two solutions of the last step, which is used in the tolerance of the next step.</summary>
    private Tensor? _previous;

    public override double Time => _time;

    public override NoiseLevel Level => span.Schedule.LevelAt(_time);

    public override bool IsAtEnd => _time == span.EndTime;

    public override Tensor? TryStep(Tensor x)
    {
        using var scope = NewDisposeScope();
        var target = Math.Min(_lambda + _steps.Step, _end);
        var (from, to) = (Math.Exp(-_lambda), Math.Exp(-target));
        var (down, up) = SigmaAlgebra.Ancestral(from, to, sampler.Eta);
        if (up > 0.0)
        {
            // The deterministic part must not go beyond the end of the span, because the schedule may end there.
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
        (_lambda, _time) = (target, target == _end ? span.EndTime : TimeOf(target));
        return high.Mul_(Level.Alpha).MoveToOuterDisposeScope();
    }

    public override void Forget()
    {
        _previous?.Dispose();
        _previous = null;
    }

    private double TimeOf(double lambda) => span.Schedule.TimeOf(2.0 * lambda);

    /// <summary>Computes eps at a point of the trajectory.</summary>
    private Tensor Slope(Tensor y, double lambda)
    {
        var time = lambda == _lambda ? _time : lambda == _end ? span.EndTime : TimeOf(lambda);
        var level = span.Schedule.LevelAt(time);
        using var x = y.Mul(level.Alpha);
        using var evaluation = evaluator.Evaluate(x, time, level);
        return evaluation.Epsilon.clone();
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

    /// <summary>Computes an Euler step from the current lambda to another.</summary>
    private Tensor Euler(Tensor y, Tensor slope, double target) => y.Add(slope, alpha: Length(target));

    /// <summary>Computes r' - r, where r = exp(-lambda).</summary>
    private double Length(double target) => Math.Exp(-target) - Math.Exp(-_lambda);

    /// <summary>Computes <c>r' ((e^h - 1) / h - 1)</c>, the weight of a change of the slope along the step.</summary>
    private static double Curvature(double h, double target) => Math.Exp(-target) * h * PhiFunction.Of(2, h);
}
