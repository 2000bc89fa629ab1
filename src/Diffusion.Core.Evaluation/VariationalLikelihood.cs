using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// Computes the variational bound in bits/dim, with one draw of x_t for each t. This requires T calls of the network, from index T-1 to
/// index 0.
/// </summary>
/// <remarks>Source: Ho et al. 2020, eq. 5; Nichol and Dhariwal 2021, section 3 (calc_bpd_loop of their code).</remarks>
/// <param name="variance">
/// The variance of a reverse step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its variance, and
/// <see cref="ReverseVariance.FixedSmall"/> for others.
/// </param>
/// <param name="likelihood">p(x_0 | x_1). The default is <see cref="DataLikelihood.Bytes"/>.</param>
public sealed class VariationalLikelihood(ReverseVariance? variance = null, DataLikelihood? likelihood = null) : ILikelihood
{
    /// <summary>
    /// Whether the predicted x_0 is clipped to [-1, 1]. The default is <see langword="null"/>: it is clipped if this is the range of the
    /// data of the model.
    /// </summary>
    public bool? Clip { get; init; }

    /// <summary>
    /// Whether the samples are checked by <see cref="DataLikelihood.Check"/>: the default likelihood requires 8-bit data. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool CheckSamples { get; init; } = true;

    /// <inheritdoc/>
    public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
    {
        using var bits = Evaluate(model, samples, request, cancellationToken: cancellationToken);
        return bits.Total.clone();
    }

    /// <summary>Computes all terms of the bound.</summary>
    /// <param name="model">
    /// The model. Its network is prepared with <see cref="DiffusionModel.BeginInference"/> for the duration of the call.
    /// </param>
    /// <param name="samples">[B, ...] the data, floating point, on the device of the network. It is not modified.</param>
    /// <param name="request">The seed, the index of the first sample and the condition.</param>
    /// <param name="noise">
    /// Returns a draw from N(0, I) for an index t, of the shape and type of the given tensor. It is called once for each t, in descending
    /// order, and the tensors that it creates are disposed. The default is <see langword="null"/>: draws that depend on (seed, index of the
    /// sample, t).
    /// </param>
    /// <param name="cancellationToken">Checked before each call of the network.</param>
    /// <returns>The terms of the bound. The caller must dispose the object.</returns>
    /// <exception cref="ArgumentException">
    /// The samples or the noise do not match the network or the request, or the samples do not match the likelihood.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public VariationalBits Evaluate(
        DiffusionModel model,
        Tensor samples,
        LikelihoodRequest request,
        Func<int, Tensor, Tensor>? noise = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        SampleGuard.Check(samples);
        var bound = BoundOf(model, samples.shape);
        if (CheckSamples)
            bound.Likelihood.Check(samples);
        using var inference = model.BeginInference();
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var steps = bound.Reverse.Schedule.Steps;
        var columns = new Tensor[steps][];
        for (var t = steps - 1; t >= 0; t--)
        {
            cancellationToken.ThrowIfCancellationRequested();
            columns[t] = At(t, model, bound, samples, request, noise);
        }

        var prior = bound.Prior(samples).to(ScalarType.Float64);
        var terms = Gather(columns, 0);
        return new VariationalBits(
            terms.sum(1L).Add(prior).cpu().MoveToOuterDisposeScope(),
            prior.cpu().MoveToOuterDisposeScope(),
            terms.cpu().MoveToOuterDisposeScope(),
            Gather(columns, 1).cpu().MoveToOuterDisposeScope(),
            Gather(columns, 2).cpu().MoveToOuterDisposeScope());
    }

    /// <summary>Returns the bound of a model for samples of the given shape.</summary>
    /// <param name="model">The model, which owns the returned bound.</param>
    /// <param name="shape">[B, ...] the shape of the samples.</param>
    /// <exception cref="ArgumentException">The schedule has no steps, or the variance does not fit the model.</exception>
    public VariationalBound BoundOf(DiffusionModel model, ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(model);
        return (Clip ?? model.RangeOf(shape) == DataRange.Images)
            ? VariationalBound.OfClipped(model, variance, likelihood)
            : VariationalBound.Of(model, variance, likelihood);
    }

    private static Tensor Gather(Tensor[][] columns, int which)
        => stack(columns.Select(column => column[which]), 1).to(ScalarType.Float64);

    private static ScheduledPair EpsilonOf(DiffusionModel model) => model.Process.Tables(
        nameof(VariationalLikelihood), schedule => new ScheduledPair(schedule, (level, _) => Prediction.EpsilonGivenX0(level)));

    private static Tensor MeanSquare(Tensor difference) => difference.Square().reshape(difference.shape[0], -1).mean([1L]);

    /// <summary>Computes, for one index, the term of the bound, the mean squared error of x_0, and that of eps, [B] each.</summary>
    private static Tensor[] At(
        int index, DiffusionModel model, VariationalBound bound, Tensor x0, LikelihoodRequest request, Func<int, Tensor, Tensor>? noise)
    {
        using var scope = NewDisposeScope();
        var t = Scalars.Full([x0.shape[0]], (long)index, ScalarType.Int64, x0.device);
        var eps = noise?.Invoke(index, x0) ?? SeededDraws.Normal(x0, request, index);
        var xt = bound.Process.Sample(x0, t, eps);
        using var output = model.Predict(xt, t, request.Condition);
        using var transition = bound.Reverse.Transition(xt, t, output);
        Tensor[] result =
        [
            bound.Term(x0, xt, t, transition),
            MeanSquare(transition.Data.sub(x0)),
            MeanSquare(EpsilonOf(model).Apply(t, xt, transition.Data).sub(eps)),
        ];
        return [.. result.Select(column => column.MoveToOuterDisposeScope())];
    }
}

/// <summary>
/// The terms of a variational bound on -log2 p(x_0) / D. All tensors are float64 on the CPU, and are owned by this object.
/// </summary>
/// <param name="total">Ownership of the tensor passes to this object.</param>
/// <param name="prior">Ownership of the tensor passes to this object.</param>
/// <param name="terms">Ownership of the tensor passes to this object.</param>
/// <param name="dataError">Ownership of the tensor passes to this object.</param>
/// <param name="noiseError">Ownership of the tensor passes to this object.</param>
public sealed class VariationalBits(Tensor total, Tensor prior, Tensor terms, Tensor dataError, Tensor noiseError) : IDisposable
{
    /// <summary>[B] bits/dim: the sum of the terms and the prior.</summary>
    public Tensor Total { get; } = total;

    /// <summary>[B] L_T in bits/dim.</summary>
    public Tensor Prior { get; } = prior;

    /// <summary>[B, T] L_t at index t, in bits/dim.</summary>
    public Tensor Terms { get; } = terms;

    /// <summary>[B, T] the mean squared error of the predicted x_0, after clipping.</summary>
    public Tensor DataError { get; } = dataError;

    /// <summary>[B, T] the mean squared error of the eps that corresponds to this x_0.</summary>
    public Tensor NoiseError { get; } = noiseError;

    /// <inheritdoc/>
    public void Dispose()
    {
        Total.Dispose();
        Prior.Dispose();
        Terms.Dispose();
        DataError.Dispose();
        NoiseError.Dispose();
    }
}
