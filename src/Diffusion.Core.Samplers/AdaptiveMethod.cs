using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A method with an estimate of its own error, during one run of an <see cref="AdaptiveSampler"/>.</summary>
internal abstract class AdaptiveMethod : IDisposable
{
    /// <summary>The time reached.</summary>
    public abstract double Time { get; }

    /// <summary>alpha and sigma at that time.</summary>
    public abstract NoiseLevel Level { get; }

    /// <summary>True once <see cref="AdaptiveSampler.EndTime"/> is reached.</summary>
    public abstract bool IsAtEnd { get; }

    /// <summary>Tries one step.</summary>
    /// <param name="x">[B, ...] the sample at <see cref="Level"/>; not changed.</param>
    /// <returns>
    /// The sample at the level that is now reached, the caller's; null where the step was too long, and nothing has changed.
    /// </returns>
    public abstract Tensor? TryStep(Tensor x);

    /// <summary>Frees what is kept of earlier steps, which does not hold for a sample that the caller has replaced.</summary>
    public abstract void Forget();

    public void Dispose() => Forget();

    /// <summary>The root mean square of <c>difference / tolerance</c>. Waits for the device, as nothing else of a step does.</summary>
    protected static double Error(StepSizeControl control, Tensor difference, Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        var tolerance = first.abs().maximum(second.abs()).Mul_(control.RelativeTolerance).ClampMin(control.AbsoluteTolerance);
        return difference.div(tolerance).to(ScalarType.Float64).norm().cpu().item<double>() / Math.Sqrt(difference.numel());
    }
}
