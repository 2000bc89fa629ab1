using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// Computes the likelihood of a model whose samples follow the probability-flow ODE, by the instantaneous change of variables, for any
/// schedule and prediction.
/// </summary>
/// <remarks>
/// <para>Source: Song et al. 2021, section 4.3 and appendix D.2.</para>
/// <para>With y = x / alpha and s = log(sigma / alpha), the ODE of every process is <c>dy/ds = y - x_0(y, s)</c>, where x_0 is the
/// prediction of the model, and log p(y) decreases by the integral of the divergence of the right-hand side. No derivative of the schedule
/// is needed. The state is in double precision; the input of the network has the type of the samples.</para>
/// <para>The density is that of the data with added Gaussian noise, whose standard deviation is sigma / alpha at
/// <see cref="ProbabilityFlowOptions.MinTime"/>.</para>
/// </remarks>
public sealed class ProbabilityFlowLikelihood : ILikelihood
{
    /// <summary>Creates an instance with the given options.</summary>
    /// <param name="options">The options. The default is a new <see cref="ProbabilityFlowOptions"/>.</param>
    public ProbabilityFlowLikelihood(ProbabilityFlowOptions? options = null)
    {
        Options = options ?? new ProbabilityFlowOptions();
        ArgumentNullException.ThrowIfNull(Options.Solver, nameof(options));
        ArgumentNullException.ThrowIfNull(Options.Trace, nameof(options));
    }

    /// <summary>The options of the integration.</summary>
    public ProbabilityFlowOptions Options { get; }

    /// <inheritdoc/>
    public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
    {
        using var logDensity = LogDensity(model, samples, request, cancellationToken);
        return logDensity.Mul(-1.0 / (Math.Log(2.0) * (samples.numel() / samples.shape[0])));
    }

    /// <summary>Computes log p(x) of each sample, in nats.</summary>
    /// <returns>[B] float64 on the CPU. The caller must dispose the returned tensor.</returns>
    /// <inheritdoc cref="ILikelihood.BitsPerDim" path="/param"/>
    /// <inheritdoc cref="ILikelihood.BitsPerDim" path="/exception"/>
    public Tensor LogDensity(
        DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        SampleGuard.Check(samples);
        var span = Span.Of(model.Schedule, Options);
        var (batch, size) = (samples.shape[0], samples.numel() / samples.shape[0]);
        using var inference = model.BeginInference();
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var flow = new Flow(model, Options, samples, request, cancellationToken);
        var start = samples.to(ScalarType.Float64).reshape(batch, size);
        var state = cat([start, zeros([batch, 1], dtype: ScalarType.Float64, device: samples.device)], 1);
        var end = Options.Solver.Integrate(flow.Slope, state, span.From, span.To, cancellationToken);
        var latent = end.narrow(1, 0, size).Mul(span.Last.Alpha).reshape(samples.shape);
        var divergence = end.narrow(1, size, 1).reshape(batch);
        var prior = Options.LogPrior is { } given ? given(latent) : LogNormal(latent, span.Last);
        Guard.Shape(prior, [batch]);
        return prior.Add(divergence).Add(size * Math.Log(span.Last.Alpha)).cpu().MoveToOuterDisposeScope();
    }

    private static Tensor LogNormal(Tensor latent, NoiseLevel last)
    {
        var variance = (last.Alpha * last.Alpha) + (last.Sigma * last.Sigma);
        var rows = latent.reshape(latent.shape[0], -1);
        return rows.Square().sum(1L).Mul(-0.5 / variance).Sub(0.5 * rows.shape[1] * Math.Log(2.0 * Math.PI * variance));
    }

    /// <summary>The right-hand side of the ODE for the state [B, D + 1]: y, and the integral of the divergence.</summary>
    private sealed class Flow(
        DiffusionModel model, ProbabilityFlowOptions options, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken)
    {
        private readonly ModelEvaluator _evaluator = new(
            model.With(new DifferentiableDenoiser(model.Network)), request.Condition, options.Threshold);
        private readonly IReadOnlyList<Tensor> _vectors = options.Trace.Vectors(samples, request);

        public Tensor Slope(double s, Tensor state)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (batch, size) = (samples.shape[0], state.shape[1] - 1);
            var time = TimeAt(model.Schedule, s);
            var level = model.Schedule.LevelAt(time);
            using var scope = NewDisposeScope();
            var y = state.narrow(1, 0, size);
            var x = y.Mul(level.Alpha).to(samples.dtype).reshape(samples.shape).clone().requires_grad_();
            using var gradients = enable_grad();
            using var evaluation = _evaluator.Evaluate(x, time, level);
            var data = evaluation.X0;
            var trace = Trace(data, x).reshape(batch, 1);
            using var gradientsOff = no_grad();
            var slope = y.sub(data.detach().reshape(batch, size).to(ScalarType.Float64));
            var divergence = trace.to(ScalarType.Float64).Mul(-level.Alpha).Add(size);
            return cat([slope, divergence], 1).MoveToOuterDisposeScope();
        }

        /// <summary>Computes the trace of d x_0 / d x of each sample, [B].</summary>
        private Tensor Trace(Tensor data, Tensor x)
        {
            Tensor? sum = null;
            for (var k = 0; k < _vectors.Count; k++)
            {
                using var product = Gradients.OfInput(data, x, _vectors[k], retainGraph: k + 1 < _vectors.Count)!;
                using var gradientsOff = no_grad();
                var part = product.mul(_vectors[k]).reshape(x.shape[0], -1).sum(1L, type: ScalarType.Float64);
                sum = sum is null ? part : sum.Add(part);
            }

            return sum!;
        }
    }

    /// <summary>
    /// Throws if the output of the network has no gradient with respect to x_t; without one, the divergence would be wrong.
    /// </summary>
    private sealed class DifferentiableDenoiser(IDenoiser network) : DelegatingDenoiser(network)
    {
        private bool _isChecked;

        public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            var output = Inner.Predict(xt, t, condition);
            if (_isChecked)
                return output;
            using var gradient = Gradients.OfInput(output, xt, retainGraph: true);
            _isChecked = gradient is not null;
            if (_isChecked)
                return output;
            output.Dispose();
            throw new InvalidOperationException(
                $"The output of {Inner.GetType().Name} has no gradient with respect to x_t, which the divergence requires. Do not disable "
                + "gradients in the network, do not detach its input or output, and do not compute the likelihood in inference mode.");
        }
    }

    /// <summary>The interval of log(sigma / alpha) over which the ODE is integrated, and the noise level at its end.</summary>
    private readonly record struct Span(double From, double To, NoiseLevel Last)
    {
        public static Span Of(INoiseSchedule schedule, ProbabilityFlowOptions options)
        {
            var first = schedule.LevelAt(options.MinTime ?? schedule.MinTime);
            var last = schedule.LevelAt(options.MaxTime ?? schedule.MaxTime);
            var (from, to) = (Math.Log(first.NoiseToSignalRatio), Math.Log(last.NoiseToSignalRatio));
            return double.IsFinite(from) && double.IsFinite(to) && from < to
                ? new Span(from, to, last)
                : throw new ArgumentException(
                    "sigma / alpha must be positive and finite at both ends, and greater at the end than at the start, "
                    + Invariant($"got {first.NoiseToSignalRatio} and {last.NoiseToSignalRatio}; set MinTime and MaxTime."));
        }
    }

    /// <summary>Returns the time at which log(sigma / alpha) is s, clamped to the ends of the schedule because of rounding.</summary>
    private static double TimeAt(INoiseSchedule schedule, double s)
    {
        var (first, last) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
        return schedule.TimeOf(Math.Clamp(-2.0 * s, Math.Max(last, double.MinValue), Math.Min(first, double.MaxValue)));
    }
}

/// <summary>The options of <see cref="ProbabilityFlowLikelihood"/>. The defaults are those of Song et al. 2021.</summary>
public sealed record ProbabilityFlowOptions
{
    /// <summary>
    /// The thresholding of the predicted x_0. The default is <see cref="Thresholding.None"/>. If it is <see langword="null"/>, x_0 is
    /// clipped to the range of the data of the model.
    /// </summary>
    public Thresholding? Threshold { get; init; } = Thresholding.None;

    /// <summary>The ODE solver. The default is a <see cref="DormandPrince"/> with tolerances of 1e-5.</summary>
    public IOdeSolver Solver { get; init; } = new DormandPrince();

    /// <summary>The estimator of the divergence. The default is <see cref="TraceEstimator.Rademacher"/> with one vector.</summary>
    public TraceEstimator Trace { get; init; } = TraceEstimator.Rademacher();

    /// <summary>
    /// The time at which the integration starts. The default is <see langword="null"/>: the minimum time of the schedule, at which sigma
    /// must be greater than 0.
    /// </summary>
    public double? MinTime { get; init; }

    /// <summary>
    /// The time at which the integration ends. The default is <see langword="null"/>: the maximum time of the schedule, at which alpha must
    /// be greater than 0.
    /// </summary>
    public double? MaxTime { get; init; }

    /// <summary>
    /// Computes log p(x_T) in nats from x_T; [B, ...] float64 to [B]. The default is <see langword="null"/>: N(0, (alpha^2 + sigma^2) I) at
    /// <see cref="MaxTime"/>, whose variance is that of noisy data if the data has unit variance. For a variance-preserving process, this
    /// is N(0, I).
    /// </summary>
    public Func<Tensor, Tensor>? LogPrior { get; init; }
}
