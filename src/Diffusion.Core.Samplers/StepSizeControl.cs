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
