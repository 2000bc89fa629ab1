namespace Diffusion.Core.Samplers;

/// <summary>
/// How an adaptive sampler chooses its steps: by the error of a step relative to the tolerances, through a PID controller.
/// </summary>
/// <remarks>
/// The error is the root mean square over the batch of <c>(difference of two solutions) / max(absolute, relative |x|)</c>. A step is
/// changed by the factor <c>1 + atan(f - 1)</c> with <c>f = e_0^((P + I + D) / k) e_1^(-(P + 2 D) / k) e_2^(D / k)</c>, the e being
/// inverse errors and k the order, and is accepted where that factor is at least <see cref="AcceptSafety"/>.
/// Source: Soderlind 2003, "Digital Filters in Adaptive Time-Stepping"; k-diffusion, PIDStepSizeController.
/// </remarks>
public sealed record StepSizeControl
{
    private readonly double _relative = 0.05;
    private readonly double _absolute = 0.0078;
    private readonly double _initialStep = 0.05;
    private readonly int _maxSteps = 10_000;

    /// <summary>The tolerance relative to the size of the sample.</summary>
    public double RelativeTolerance
    {
        get => _relative;
        init => _relative = Guard.Positive(value, nameof(RelativeTolerance));
    }

    /// <summary>The tolerance below which nothing counts as an error, in units of the data.</summary>
    public double AbsoluteTolerance
    {
        get => _absolute;
        init => _absolute = Guard.Positive(value, nameof(AbsoluteTolerance));
    }

    /// <summary>The first step that is tried, in the variable that the sampler steps in.</summary>
    public double InitialStep
    {
        get => _initialStep;
        init => _initialStep = Guard.Positive(value, nameof(InitialStep));
    }

    /// <summary>P of the controller.</summary>
    public double Proportional { get; init; }

    /// <summary>I of the controller.</summary>
    public double Integral { get; init; } = 1.0;

    /// <summary>D of the controller.</summary>
    public double Derivative { get; init; }

    /// <summary>The factor for the next step from which this one is accepted.</summary>
    public double AcceptSafety { get; init; } = 0.81;

    /// <summary>Steps tried, accepted or not, after which sampling is given up with an error.</summary>
    public int MaxSteps
    {
        get => _maxSteps;
        init => _maxSteps = Guard.InRange(value, 1, int.MaxValue, nameof(MaxSteps));
    }
}

/// <summary>The state of a <see cref="StepSizeControl"/> during one run.</summary>
/// <param name="control">Tolerances and coefficients.</param>
/// <param name="order">The order of the error in the step.</param>
internal sealed class StepSizeController(StepSizeControl control, double order)
{
    // Keeps a step without any error from a division by zero.
    private const double Smallest = 1e-8;
    private double _newer = double.NaN;
    private double _older;
    private int _tried;

    /// <summary>The step to try next.</summary>
    public double Step { get; private set; } = control.InitialStep;

    /// <summary>
    /// Takes the error of a step, 1 being what is tolerated, and changes <see cref="Step"/>; true where the step is good enough.
    /// </summary>
    /// <exception cref="InvalidOperationException">Too many steps were tried, or the error is not finite.</exception>
    public bool Accepts(double error)
    {
        if (++_tried > control.MaxSteps)
            throw new InvalidOperationException(
                $"{control.MaxSteps} steps were not enough; raise {nameof(StepSizeControl.MaxSteps)} or the tolerances.");
        if (!double.IsFinite(error))
            throw new InvalidOperationException($"The error of a step of {Step} is {error}: the answer of the network is not finite.");
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
