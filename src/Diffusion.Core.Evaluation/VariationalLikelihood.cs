using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// The variational bound in bits/dim, with one draw of x_t at each t: T calls of the network, from the noisiest index to the cleanest.
/// Owns the tables of its bound.
/// </summary>
/// <remarks>Source: Ho et al. 2020, eq. 5; Nichol and Dhariwal 2021, section 3 (calc_bpd_loop of their code).</remarks>
/// <param name="schedule">The schedule that the network was trained with.</param>
/// <param name="prediction">What the network predicts; eps unless said otherwise.</param>
/// <param name="variance">The variance of a reverse step; <see cref="ReverseVariance.FixedSmall"/> unless said otherwise.</param>
/// <param name="likelihood">p(x_0 | x_1); <see cref="DataLikelihood.Bytes"/> unless said otherwise.</param>
/// <param name="clip">Whether the predicted x_0 is clipped to [-1, 1].</param>
public sealed class VariationalLikelihood(
    DiscreteSchedule schedule,
    IPrediction? prediction = null,
    IReverseVariance? variance = null,
    IDataLikelihood? likelihood = null,
    bool clip = true) : ILikelihood, IDisposable
{
    private readonly ScheduledPair _noise = new(schedule, (level, _) => Prediction.NoiseGivenData(level));

    /// <summary>The bound.</summary>
    public VariationalBound Bound { get; } = new(schedule, prediction, variance, likelihood, clip);

    /// <inheritdoc/>
    public Tensor BitsPerDim(IDenoiser denoiser, Tensor samples, LikelihoodRequest request)
    {
        using var bits = Evaluate(denoiser, samples, request);
        return bits.Total.clone();
    }

    /// <summary>Every term of the bound.</summary>
    /// <param name="denoiser">The network; in evaluation mode while it is used.</param>
    /// <param name="samples">[B, ...] data, floating point, on the device of the network; not changed.</param>
    /// <param name="request">Seeds, condition and cancellation.</param>
    /// <param name="noise">
    /// The draw from N(0, I) for x_t, of the shape and type of the tensor it is given, for each index t in turn; null for draws by (seed,
    /// index of the sample, t). What it returns is freed here.
    /// </param>
    /// <returns>The caller's.</returns>
    /// <exception cref="ArgumentException">The samples or the noise do not fit the network or the request.</exception>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
    public VariationalBits Evaluate(
        IDenoiser denoiser, Tensor samples, LikelihoodRequest request, Func<int, Tensor, Tensor>? noise = null)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(request);
        SampleGuard.Check(samples);
        using var inference = denoiser.BeginInference();
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var steps = schedule.Steps;
        var columns = new Tensor[steps][];
        for (var t = steps - 1; t >= 0; t--)
        {
            request.CancellationToken.ThrowIfCancellationRequested();
            columns[t] = At(t, denoiser, samples, request, noise);
        }

        var prior = Bound.Prior(samples).to(ScalarType.Float64);
        var terms = Gather(columns, 0);
        return new VariationalBits(
            terms.sum(1L).Add(prior).cpu().MoveToOuterDisposeScope(),
            prior.cpu().MoveToOuterDisposeScope(),
            terms.cpu().MoveToOuterDisposeScope(),
            Gather(columns, 1).cpu().MoveToOuterDisposeScope(),
            Gather(columns, 2).cpu().MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Bound.Dispose();
        _noise.Dispose();
    }

    private static Tensor Gather(Tensor[][] columns, int which)
        => stack(columns.Select(column => column[which]), 1).to(ScalarType.Float64);

    private static Tensor MeanSquare(Tensor difference) => difference.Square().reshape(difference.shape[0], -1).mean([1L]);

    /// <summary>[B] the term, the error in x_0 and the error in eps at one index.</summary>
    private Tensor[] At(int index, IDenoiser denoiser, Tensor x0, LikelihoodRequest request, Func<int, Tensor, Tensor>? noise)
    {
        using var scope = NewDisposeScope();
        var t = Scalars.Full([x0.shape[0]], (long)index, ScalarType.Int64, x0.device);
        var eps = noise?.Invoke(index, x0) ?? SeededDraws.Normal(x0, request, index);
        var xt = Bound.Process.Sample(x0, t, eps);
        using var input = Bound.Process.NetworkInput(Bound.Reverse.Prediction, xt, t);
        using var time = Bound.Process.NetworkTimes(t);
        using var output = denoiser.Predict(input, time, request.Condition);
        using var transition = Bound.Reverse.Transition(xt, t, output);
        Tensor[] result =
        [
            Bound.Term(x0, xt, t, transition),
            MeanSquare(transition.Data.sub(x0)),
            MeanSquare(_noise.Apply(t, xt, transition.Data).sub(eps)),
        ];
        return [.. result.Select(column => column.MoveToOuterDisposeScope())];
    }
}

/// <summary>A variational bound on -log2 p(x_0) / D, term by term. All float64 on the CPU; owns its tensors.</summary>
/// <param name="total">Taken over.</param>
/// <param name="prior">Taken over.</param>
/// <param name="terms">Taken over.</param>
/// <param name="dataError">Taken over.</param>
/// <param name="noiseError">Taken over.</param>
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
