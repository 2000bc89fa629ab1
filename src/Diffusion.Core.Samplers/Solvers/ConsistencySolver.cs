using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Multistep consistency sampling, for consistency models and, with <see cref="Latent"/>, for latent consistency models. In each step the
/// network maps the sample to the data, and new noise of the next level is added.
/// </summary>
/// <remarks>
/// <c>x' = alpha' f + sqrt(sigma'^2 - alpha'^2 r_min^2) z</c>, where f is the x_0 of the prediction, or the result of the boundary
/// function.
/// Source: Song et al. 2023, "Consistency Models", Algorithm 1; Luo et al. 2023, "Latent Consistency Models", Algorithm 3.
/// </remarks>
public sealed class ConsistencySolver : ISolver
{
    private readonly Func<double, LinearPair>? _boundary;

    /// <summary>Initializes a new instance of the <see cref="ConsistencySolver"/> class for consistency models.</summary>
    /// <param name="minRatio">
    /// r_min, the sigma / alpha at which the network is the identity, at least 0. The output of the network still contains this noise. The
    /// grid should end at this level. The default is 0.
    /// </param>
    /// <param name="noiseScale">The standard deviation of z. The default is 1.</param>
    /// <param name="boundary">
    /// Returns the coefficients of x_0 and x_t in f at a time of the schedule, for networks whose boundary condition depends on time. The
    /// default is <see langword="null"/>: f is the x_0 of the prediction.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The ratio is negative, or the scale is not finite and greater than 0.</exception>
    public ConsistencySolver(double minRatio = 0.0, double noiseScale = 1.0, Func<double, LinearPair>? boundary = null)
    {
        (MinRatio, NoiseScale) = (Guard.Factor(minRatio), Guard.PositiveFactor(noiseScale));
        _boundary = boundary;
    }

    /// <summary>r_min, the sigma / alpha at which the network is the identity.</summary>
    public double MinRatio { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <summary>
    /// Creates a solver for latent consistency models: <c>f = c_skip x_t + c_out x_0</c> with <c>c_skip = s^2 / ((k t)^2 + s^2)</c> and
    /// <c>c_out = k t / sqrt((k t)^2 + s^2)</c>.
    /// </summary>
    /// <param name="timeScale">k, the factor that multiplies t. The default is 10, for the published models with 1000 indices.</param>
    /// <param name="dataDeviation">s, the assumed standard deviation of the data. The default is 0.5.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is not finite and greater than 0.</exception>
    public static ConsistencySolver Latent(double timeScale = 10.0, double dataDeviation = 0.5)
    {
        Guard.Positive(timeScale);
        var variance = Guard.Positive(dataDeviation) * dataDeviation;
        return new ConsistencySolver(boundary: t =>
        {
            var scaled = timeScale * t;
            var norm = (scaled * scaled) + variance;
            return new LinearPair(scaled / Math.Sqrt(norm), variance / norm);
        });
    }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var to = step.To;
        var f = _boundary?.Invoke(step.Time) ?? new LinearPair(1.0, 0.0);
        var next = new LinearPair(to.Alpha * f.First, to.Alpha * f.Second).Apply(step.Current.X0, step.Sample);
        var added = (to.Sigma * to.Sigma) - Math.Pow(to.Alpha * MinRatio, 2);
        if (added <= 0.0)
            return next;
        using var noise = step.DrawNoise();
        return next.Add_(noise, alpha: Math.Sqrt(added) * NoiseScale);
    }
}
