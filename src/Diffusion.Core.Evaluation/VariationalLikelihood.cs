using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// The variational bound in bits/dim, with one draw of x_t at each t: T calls of the network, from the noisiest index to the cleanest.
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
    /// Whether the predicted x_0 is clipped to [-1, 1]. The default, <see langword="null"/>, is true where that is the range of the model's
    /// data.
    /// </summary>
    public bool? Clip { get; init; }

    /// <inheritdoc/>
    public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
    {
        using var bits = Evaluate(model, samples, request, cancellationToken: cancellationToken);
        return bits.Total.clone();
    }

    /// <summary>Every term of the bound.</summary>
    /// <param name="model">The model, in an inference scope while it is used.</param>
    /// <param name="samples">[B, ...] data, floating point, on the device of the network; not changed.</param>
    /// <param name="request">Seeds and condition.</param>
    /// <param name="noise">
    /// The draw from N(0, I) for x_t, of the shape and type of the tensor it is given, for each index t in turn; null for draws by (seed,
    /// index of the sample, t). What it returns is freed here.
    /// </param>
    /// <param name="cancellationToken">Ends the evaluation between two calls of the network.</param>
    /// <returns>The result. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">The samples or the noise do not fit the network or the request.</exception>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
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

    /// <summary>The bound of a model, for samples of a shape.</summary>
    /// <param name="model">The model, which owns the bound.</param>
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

    /// <summary>[B] the term, the error in x_0 and the error in eps at one index.</summary>
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

/// <summary>A variational bound on -log2 p(x_0) / D, term by term. All float64 on the CPU; owns its tensors.</summary>
/// <param name="total">Ownership of the tensor passes to this object.</param>
/// <param name="prior">Ownership of the tensor passes to this object.</param>
/// <param name="terms">Ownership of the tensor passes to this object.</param>
/// <param name="dataError">Ownership of the tensor passes to this object.</param>
/// <param name="noiseError">Ownership of the tensor passes to this object.</param>
public sealed class VariationalBits(Tensor total, Tensor prior, Tensor terms, Tensor dataError, Tensor noiseError) : IDisposable
{
    /// <summary>[B] bits/dim: the sum of the terms and the prior.</summary>
    public Tensor Total { get; } = total;

    /// <summary>[B] L_T, bits/dim.</summary>
    public Tensor Prior { get; } = prior;

    /// <summary>[B, T] L_t at index t, bits/dim.</summary>
    public Tensor Terms { get; } = terms;

    /// <summary>[B, T] the mean squared error of the predicted x_0, after clipping.</summary>
    public Tensor DataError { get; } = dataError;

    /// <summary>[B, T] the mean squared error of the eps that goes with that x_0.</summary>
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
