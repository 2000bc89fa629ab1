using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A network as solvers see it: its prediction, whatever that is, already turned into x_0 and eps.</summary>
public interface IEvaluator
{
    /// <summary>One call of the network.</summary>
    /// <param name="x">
    /// [B, ...] a sample at <paramref name="level"/>; not changed, and not to be changed while the answer is in use.
    /// </param>
    /// <param name="time">The time of the schedule that the network is told.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <returns>The caller's.</returns>
    Evaluation Evaluate(Tensor x, double time, NoiseLevel level);

    /// <summary>
    /// One call of the network, whose answer is read as if it had been given at another sample: for methods that call it before they
    /// change the sample.
    /// </summary>
    /// <param name="x">[B, ...] what the network is given, a sample at <paramref name="level"/>; not changed.</param>
    /// <param name="time">The time of the schedule that the network is told.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="readAt">The shape of <paramref name="x"/>: the sample that x_0 and eps are derived for; not changed.</param>
    /// <param name="readLevel">alpha and sigma of <paramref name="readAt"/>.</param>
    /// <returns>The evaluation of <paramref name="readAt"/>; the caller's.</returns>
    /// <exception cref="NotSupportedException">This evaluator has no answer apart from x_0 and eps.</exception>
    Evaluation EvaluateAs(Tensor x, double time, NoiseLevel level, Tensor readAt, NoiseLevel readLevel)
        => throw new NotSupportedException($"{GetType().Name} cannot read an answer at another sample than it was given at.");
}

/// <summary>A denoiser, with what it predicts and how its x_0 is kept in range.</summary>
public sealed class DenoiserEvaluator(INoiseSchedule schedule, SamplerOptions options, IDenoiser denoiser, Condition? condition)
    : IEvaluator
{
    /// <inheritdoc/>
    public Evaluation Evaluate(Tensor x, double time, NoiseLevel level)
    {
        ArgumentNullException.ThrowIfNull(x);
        var (output, variance) = Predict(x, time, level);
        return Read(output, variance, x, time, level);
    }

    /// <inheritdoc/>
    public Evaluation EvaluateAs(Tensor x, double time, NoiseLevel level, Tensor readAt, NoiseLevel readLevel)
    {
        Guard.SameShape(x, readAt);
        Guard.SameType(x, readAt);
        var (output, variance) = Predict(x, time, level);
        return Read(output, variance, readAt, time, readLevel);
    }

    /// <summary>The level one step before a time, as predictions ask for it: that of the index before on a discrete schedule.</summary>
    public static NoiseLevel PreviousLevel(INoiseSchedule schedule, double time, NoiseLevel level)
        => schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;

    /// <summary>x_0 and eps from an answer of the network, which is taken over.</summary>
    private Evaluation Read(Tensor output, Tensor? variance, Tensor x, double time, NoiseLevel level)
    {
        var previous = PreviousLevel(schedule, time, level);
        var data = options.Prediction.ToData(level, previous);
        var noise = options.Prediction.ToNoise(level, previous);
        if (options.Threshold is null)
            return new Evaluation(time, level, x, output, data, noise, variance);

        using var free = data.Apply(x, output);
        var inRange = options.Threshold.Apply(free);
        Guard.SameShape(x, inRange, nameof(x), "the thresholded x_0");
        if (!options.RederiveNoise)
            return new Evaluation(time, level, inRange, x, output, noise, variance);
        output.Dispose();
        return new Evaluation(time, level, x, inRange, new LinearPair(0.0, 1.0), Prediction.NoiseGivenData(level), variance);
    }

    private (Tensor Output, Tensor? Variance) Predict(Tensor x, double time, NoiseLevel level)
    {
        var output = Answer(x, time, level);
        var expected = x.shape;
        if (options.HasVarianceChannels)
            expected[1] *= 2;
        if (!output.shape.AsSpan().SequenceEqual(expected))
            throw new ArgumentException(
                $"The denoiser must answer with shape {Guard.Format(expected)} to an input of {Guard.Format(x.shape)}, "
                + $"got {Guard.Format(output.shape)}.");
        if (!output.is_floating_point() || output.device_type != x.device_type)
            throw new ArgumentException(
                $"The denoiser must answer in floating point on {x.device_type}, got {output.dtype} on {output.device_type}.");
        if (output.dtype != x.dtype)
        {
            using var given = output;
            output = output.to(x.dtype);
        }

        if (!options.HasVarianceChannels)
            return (output, null);
        using var both = output;
        return (output.narrow(1, 0, x.shape[1]), output.narrow(1, x.shape[1], x.shape[1]));
    }

    private Tensor Answer(Tensor x, double time, NoiseLevel level)
    {
        var scale = options.Prediction.InputScale?.Invoke(level) ?? 1.0;
        using var scaled = scale == 1.0 ? null : x.Mul(scale);
        using var t = Times(x, time);
        var output = denoiser.Predict(scaled ?? x, t, condition);
        if (output is null)
            throw new ArgumentException("The denoiser must answer with a tensor, got null.");
        return ReferenceEquals(output, scaled ?? x)
            ? throw new ArgumentException("The denoiser must answer with a new tensor, got its own input.")
            : output;
    }

    /// <summary>[B] what the network is told: an index where a discrete schedule has one there, otherwise a number.</summary>
    private Tensor Times(Tensor x, double gridTime)
    {
        long[] size = [x.shape[0]];
        var time = schedule.NetworkTime(gridTime);
        return schedule is DiscreteSchedule && Math.Floor(time) == time
            ? Scalars.Full(size, (long)time, ScalarType.Int64, x.device)
            : Scalars.Full(size, time, x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32, x.device);
    }
}
