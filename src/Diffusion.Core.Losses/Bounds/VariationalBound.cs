using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// The terms of the variational bound on -log p(x_0), for each sample, in bits/dim: L_0 at index 0, the other L_t at indices 1..T-1,
/// and the prior term L_T. Their sum is the bound. The object owns its tables.
/// </summary>
/// <remarks>Source: Ho et al. 2020, eq. 5 and 13; Nichol and Dhariwal 2021, eq. 4 to 7.</remarks>
public sealed class VariationalBound : IDisposable
{
    /// <summary>Creates the bound of a model, without clipping.</summary>
    /// <param name="model">The model. Its schedule must be a <see cref="DiscreteSchedule"/>.</param>
    /// <param name="variance">
    /// The variance of a reverse step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its variance,
    /// and <see cref="ReverseVariance.FixedSmall"/> otherwise.
    /// </param>
    /// <param name="likelihood">The likelihood p(x_0 | x_1). The default is <see cref="DataLikelihood.Bytes"/>.</param>
    /// <exception cref="ArgumentException">
    /// The schedule is not discrete; the prediction does not determine x_0 at some t; the variance or its logarithm is not finite at
    /// some t; the variance is learned and the model does not learn its variance; or the variance is fixed and the model learns its
    /// variance.
    /// </exception>
    public VariationalBound(DiffusionModel model, ReverseVariance? variance = null, DataLikelihood? likelihood = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        variance ??= model.LearnsVariance ? ReverseVariance.LearnedRange : ReverseVariance.FixedSmall;
        if (variance.IsLearned != model.LearnsVariance)
            throw new ArgumentException(
                Invariant($"The variance '{variance.Name}' is {(variance.IsLearned ? "learned" : "fixed")}, and the model has ")
                + Invariant($"{nameof(model.LearnsVariance)} = ")
                + Invariant($"{(model.LearnsVariance ? "true" : "false")}."),
                nameof(variance));
        var schedule = model.Schedule as DiscreteSchedule ?? throw new ArgumentException(
            $"A variational bound needs the steps of a {nameof(DiscreteSchedule)}, got {model.Schedule.GetType().Name}.", nameof(model));
        Process = new DdpmProcess(schedule);
        Reverse = new ReverseProcess(schedule, model.Prediction, variance) { Clip = false };
        Likelihood = likelihood ?? DataLikelihood.Bytes;
    }

    /// <summary>Returns the bound of a model without clipping. It is created once and owned by the model.</summary>
    /// <inheritdoc cref="VariationalBound(DiffusionModel, ReverseVariance?, DataLikelihood?)"/>
    public static VariationalBound Of(DiffusionModel model, ReverseVariance? variance = null, DataLikelihood? likelihood = null)
        => Cached(model, variance, likelihood, clip: false);

    /// <summary>Returns the bound of a model with <see cref="Clip"/>. It is created once and owned by the model.</summary>
    /// <inheritdoc cref="VariationalBound(DiffusionModel, ReverseVariance?, DataLikelihood?)"/>
    public static VariationalBound OfClipped(DiffusionModel model, ReverseVariance? variance = null, DataLikelihood? likelihood = null)
        => Cached(model, variance, likelihood, clip: true);

    /// <summary>
    /// Whether the predicted x_0 is clipped to [-1, 1]. Use it to evaluate the likelihood of images, not for training. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool Clip
    {
        get => Reverse.Clip;
        init
        {
            if (value == Reverse.Clip)
                return;
            using var replaced = Reverse;
            Reverse = new ReverseProcess(replaced.Schedule, replaced.Prediction, replaced.Variance) { Clip = value };
        }
    }

    /// <summary>The forward process and its posterior.</summary>
    public DdpmProcess Process { get; }

    /// <summary>The reverse process.</summary>
    public ReverseProcess Reverse { get; private init; }

    /// <summary>The likelihood p(x_0 | x_1).</summary>
    public DataLikelihood Likelihood { get; }

    /// <summary>
    /// Computes the term at index t: -log p(x_0 | x_1) for t = 0, and KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) otherwise.
    /// </summary>
    /// <param name="x0">[B, ...] the data.</param>
    /// <param name="xt">x_t, a sample of q(x_t | x_0), with the shape of <paramref name="x0"/>.</param>
    /// <param name="t">[B] int64 indices 0..T-1.</param>
    /// <param name="output">The output of the network at x_t. With a learned variance, its shape is [B, 2C, ...].</param>
    /// <returns>[B] the terms, in bits/dim, with gradients. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or an index is outside 0..T-1.</exception>
    public Tensor Term(Tensor x0, Tensor xt, Tensor t, Tensor output)
    {
        using var transition = Reverse.Transition(xt, t, output);
        return Term(x0, xt, t, transition);
    }

    /// <inheritdoc cref="Term(Tensor, Tensor, Tensor, Tensor)"/>
    /// <param name="x0">[B, ...] the data.</param>
    /// <param name="xt">x_t, a sample of q(x_t | x_0), with the shape of <paramref name="x0"/>.</param>
    /// <param name="t">[B] int64 indices 0..T-1.</param>
    /// <param name="transition">p(x_{t-1} | x_t).</param>
    public Tensor Term(Tensor x0, Tensor xt, Tensor t, ReverseDistribution transition)
    {
        ArgumentNullException.ThrowIfNull(transition);
        using var scope = NewDisposeScope();
        var kl = GaussianMath.Kl(
            Process.PosteriorMean(x0, xt, t), Process.PosteriorLogVariance(t, xt), transition.Mean, transition.LogVariance);
        var likelihood = Likelihood.LogLikelihood(x0, transition.Mean, transition.LogVariance);
        Guard.SameShape(x0, likelihood);
        var term = where(t.Eq(0), Denoising.MeanOfSamples(likelihood).neg(), Denoising.MeanOfSamples(kl));
        return term.Mul(1.0 / Math.Log(2.0)).MoveToOuterDisposeScope();
    }

    /// <summary>Computes L_T, KL(q(x_T | x_0) || N(0, I)), which does not depend on the network.</summary>
    /// <param name="x0">[B, ...] the data.</param>
    /// <returns>[B] the values of L_T, in bits/dim. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException"><paramref name="x0"/> is not floating point, or has no batch dimension.</exception>
    public Tensor Prior(Tensor x0)
    {
        Guard.Floating(x0);
        if (x0.dim() == 0)
            throw new ArgumentException("A sample must have a batch dimension, got a scalar.", nameof(x0));
        using var scope = NewDisposeScope();

        // With the variance 1 - a, the divergence is (a x_0^2 - a - log(1 - a)) / 2. For small a, -a - log(1 - a) is computed from its
        // series, because the two terms nearly cancel.
        var last = Reverse.Schedule.AlphaBars[^1];
        var constant = last < 1e-4 ? last * last * (0.5 + (last / 3.0) + (last * last / 4.0)) : -last - Math.Log(1.0 - last);
        var kl = Denoising.MeanOfSamples(x0.Square()).Mul(last).Add(constant);
        return kl.Mul(0.5 / Math.Log(2.0)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Process.Dispose();
        Reverse.Dispose();
    }

    private static VariationalBound Cached(DiffusionModel model, ReverseVariance? variance, DataLikelihood? likelihood, bool clip)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Process.Tables(
            (model.Prediction, model.LearnsVariance, variance, likelihood, clip),
            _ => new VariationalBound(model, variance, likelihood) { Clip = clip });
    }
}
