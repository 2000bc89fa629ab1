namespace Diffusion.Core.Samplers;

/// <summary>
/// The step size control of an adaptive sampler: a PID controller of the error of each step relative to the tolerances.
/// </summary>
/// <remarks>
/// The error is the root mean square over the batch of <c>(difference of two solutions) / max(absolute, relative |x|)</c>. The step size is
/// multiplied by <c>1 + atan(f - 1)</c> with <c>f = e_0^((P + I + D) / k) e_1^(-(P + 2 D) / k) e_2^(D / k)</c>, where k is the order, e_0
/// is the inverse error of the step, and e_1 and e_2 are those of the last two accepted steps. A step is accepted if the factor of the step
/// size is at least <see cref="AcceptSafety"/>.
/// Source: Soderlind 2003, "Digital Filters in Adaptive Time-Stepping"; k-diffusion, PIDStepSizeController.
/// </remarks>
public sealed record StepSizeControl
{
    private readonly double _relative = 0.05;
    private readonly double _absolute = 0.0078;
    private readonly double _initialStep = 0.05;
    private readonly int _maxSteps = 10_000;

    /// <summary>The tolerance relative to the size of the sample. The default is 0.05.</summary>
    public double RelativeTolerance
    {
        get => _relative;
        init => _relative = Guard.Positive(value, nameof(RelativeTolerance));
    }

    /// <summary>The absolute tolerance, in units of the data: the lower bound of the tolerance of a value. The default is 0.0078.</summary>
    public double AbsoluteTolerance
    {
        get => _absolute;
        init => _absolute = Guard.Positive(value, nameof(AbsoluteTolerance));
    }

    /// <summary>The size of the first attempted step, in the integration variable of the sampler. The default is 0.05.</summary>
    public double InitialStep
    {
        get => _initialStep;
        init => _initialStep = Guard.Positive(value, nameof(InitialStep));
    }

    /// <summary>The proportional coefficient P of the controller. The default is 0.</summary>
    public double Proportional { get; init; }

    /// <summary>The integral coefficient I of the controller. The default is 1.</summary>
    public double Integral { get; init; } = 1.0;

    /// <summary>The derivative coefficient D of the controller. The default is 0.</summary>
    public double Derivative { get; init; }

    /// <summary>The smallest factor of the step size for which a step is accepted. The default is 0.81.</summary>
    public double AcceptSafety { get; init; } = 0.81;

    /// <summary>
    /// The maximum number of attempted steps, including rejected ones. Sampling throws if it needs more. The default is 10,000.
    /// </summary>
    public int MaxSteps
    {
        get => _maxSteps;
        init => _maxSteps = Guard.InRange(value, 1, int.MaxValue, nameof(MaxSteps));
    }
}

/// <summary>The state of a <see cref="StepSizeControl"/> during one run.</summary>
/// <param name="control">The tolerances and coefficients.</param>
/// <param name="order">The order of the error in the step size.</param>
internal sealed class StepSizeController(StepSizeControl control, double order)
{
    // Avoids a division by zero for a step without error.
    private const double Smallest = 1e-8;
    private double _newer = double.NaN;
    private double _older;
    private int _tried;

    /// <summary>The size of the next step to attempt.</summary>
    public double Step { get; private set; } = control.InitialStep;

    /// <summary>
    /// Updates <see cref="Step"/> with the error of a step, relative to the tolerance, and returns <see langword="true"/> if the step is
    /// accepted.
    /// </summary>
    /// <exception cref="InvalidOperationException">Too many steps were attempted, or the error is not finite.</exception>
    public bool Accepts(double error)
    {
        if (++_tried > control.MaxSteps)
            throw new InvalidOperationException(
                Invariant($"{control.MaxSteps} steps were not enough; increase {nameof(StepSizeControl.MaxSteps)} or the tolerances."));
        if (!double.IsFinite(error))
            throw new InvalidOperationException(
                Invariant($"The error of a step of size {Step} is {error}: the output of the network is not finite."));
        var inverse = 1.0 / (error + Smallest);
        if (double.IsNaN(_newer))
            (_newer, _older) = (inverse, inverse);
        var factor = Math.Pow(inverse, (control.Proportional + control.Integral + control.Derivative) / order)
            * Math.Pow(_newer, -(control.Proportional + (2.0 * control.Derivative)) / order)
            * Math.Pow(_older, control.Derivative / order);
        factor = 1.0 + Math.Atan(factor - 1.0);
        Step *= factor;
        if (factor < control.AcceptSafety)
            return false;
        (_newer, _older) = (inverse, _newer);
        return true;
    }
}
