using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Predictor-corrector sampling: the step of any solver, followed by steps of annealed Langevin dynamics at the new level, which bring the
/// sample closer to the distribution at that level. A step to clean data is not corrected.
/// </summary>
/// <remarks>
/// A correction is <c>x - 2 q^2 sigma eps + 2 q sigma z</c> with <c>q = r |z| / |eps|</c>. The norms are those of one sample, so that a
/// sample does not depend on the other samples of its batch. Each correction needs one additional network call. With
/// <see cref="AncestralSolver"/> and fixed large variance as the predictor, on a variance-exploding schedule, this is the
/// predictor-corrector sampler of the paper. In terms of x / alpha, the correction is the same for every process.
/// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", Algorithm 4 with score = -eps /
/// sigma.
/// </remarks>
public sealed class LangevinCorrectedSolver : ISolver
{
    // Avoids a division by zero for a prediction of exactly zero.
    private const double SmallestNorm = 1e-12;

    /// <summary>Initializes a new instance of the <see cref="LangevinCorrectedSolver"/> class.</summary>
    /// <param name="predictor">The solver whose steps are corrected.</param>
    /// <param name="snr">
    /// r, the ratio of the norms of drift and noise, which determines the step size. The default is 0.16, the value of the authors for
    /// images.
    /// </param>
    /// <param name="corrections">M, the number of Langevin steps after each step, at least 1. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The ratio is not finite and greater than 0, or the number of corrections is less than 1.
    /// </exception>
    public LangevinCorrectedSolver(ISolver predictor, double snr = 0.16, int corrections = 1)
    {
        ArgumentNullException.ThrowIfNull(predictor);
        (Predictor, Snr, Corrections) = (predictor, Guard.PositiveFactor(snr), Guard.InRange(corrections, 1, int.MaxValue));
    }

    /// <summary>The solver whose steps are corrected.</summary>
    public ISolver Predictor { get; }

    /// <summary>r, the ratio of the norms of drift and noise.</summary>
    public double Snr { get; }

    /// <summary>M, the number of Langevin steps after each step.</summary>
    public int Corrections { get; }

    /// <inheritdoc/>
    public int HistoryLength => Predictor.HistoryLength;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => Predictor.Validate(grid);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var x = Predictor.Step(step);
        if (step.To.Sigma == 0.0)
            return x;
        var time = SigmaAlgebra.TargetTime(step);
        for (var m = 0; m < Corrections; m++)
        {
            using var before = x;
            x = Correct(step, before, time);
        }

        return x;
    }

    private Tensor Correct(SolverStep step, Tensor x, double time)
    {
        using var scope = NewDisposeScope();
        using var evaluation = step.Evaluate(x, time, step.To);
        var noise = step.Noise.Draw(x);

        // Without a predicted noise there is no direction to follow, and the ratio of the norms is infinite.
        var norm = Norm(evaluation.Epsilon);
        var q = Norm(noise).Mul_(Snr).div_(norm.ClampMin(SmallestNorm)).mul_(norm.Gt(SmallestNorm));
        var drift = q.Square().Mul_(-2.0 * step.To.Sigma);
        var deviation = q.Mul(2.0 * step.To.Sigma);
        return x.Addcmul(evaluation.Epsilon, drift, 1.0).Addcmul_(noise, deviation, 1.0).MoveToOuterDisposeScope();
    }

    /// <summary>Computes [B, 1, ...] the Euclidean norm of each sample, summed in an order that does not depend on the batch.</summary>
    private static Tensor Norm(Tensor x)
    {
        var shape = new long[x.dim()];
        Array.Fill(shape, 1L);
        shape[0] = x.shape[0];
        return x.reshape(x.shape[0], -1).norm(1).reshape(shape);
    }
}
