using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A denoiser, with what it predicts and how its x_0 is kept in range.</summary>
internal sealed class DenoiserEvaluator(INoiseSchedule schedule, SamplerOptions options, IDenoiser denoiser, Condition? condition) : IEvaluator
{
    /// <inheritdoc/>
    public Evaluation Evaluate(Tensor x, double time, NoiseLevel level)
    {
        ArgumentNullException.ThrowIfNull(x);
        var previous = PreviousLevel(schedule, time, level);
        var output = Predict(x, time);
        var data = options.Prediction.ToData(level, previous).Apply(x, output);
        if (options.Threshold is null)
            return new Evaluation(time, level, data, x, output, options.Prediction.ToNoise(level, previous));

        using var free = data;
        var inRange = options.Threshold.Apply(data);
        Guard.SameShape(x, inRange, nameof(x), "the thresholded x_0");
        if (!options.RederiveNoise)
            return new Evaluation(time, level, inRange, x, output, options.Prediction.ToNoise(level, previous));
        output.Dispose();
        return new Evaluation(time, level, inRange, x, inRange.detach(), Prediction.NoiseGivenData(level));
    }

    /// <summary>The level one step before a time, as predictions ask for it: that of the index before on a discrete schedule.</summary>
    public static NoiseLevel PreviousLevel(INoiseSchedule schedule, double time, NoiseLevel level)
        => schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;

    private Tensor Predict(Tensor x, double time)
    {
        using var t = Times(x, time);
        var output = denoiser.Predict(x, t, condition);
        if (output is null)
            throw new ArgumentException("The denoiser must answer with a tensor, got null.");
        if (ReferenceEquals(output, x))
            throw new ArgumentException("The denoiser must answer with a new tensor, got its own input.");
        if (!output.shape.AsSpan().SequenceEqual(x.shape))
            throw new ArgumentException(
                $"The denoiser must answer with the shape of its input, {Guard.Format(x.shape)}, got {Guard.Format(output.shape)}.");
        if (!output.is_floating_point() || output.device_type != x.device_type)
            throw new ArgumentException(
                $"The denoiser must answer in floating point on {x.device_type}, got {output.dtype} on {output.device_type}.");
        if (output.dtype == x.dtype)
            return output;
        using (output)
            return output.to(x.dtype);
    }

    /// <summary>[B] the time: an index where a discrete schedule has one there, otherwise a number.</summary>
    private Tensor Times(Tensor x, double time)
    {
        long[] size = [x.shape[0]];
        return schedule is DiscreteSchedule && Math.Floor(time) == time
            ? full(size, (long)time, dtype: ScalarType.Int64, device: x.device)
            : full(size, time, dtype: x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32, device: x.device);
    }
}
