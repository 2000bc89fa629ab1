namespace Diffusion.Core.Samplers;

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
