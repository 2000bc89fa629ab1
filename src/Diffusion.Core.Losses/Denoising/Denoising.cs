using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>What every loss does: noise the data, ask the network, take means over samples.</summary>
internal static class Denoising
{
    /// <summary>x_t, and what the network says there, in the type and of the shape that is expected of it.</summary>
    /// <param name="denoiser">The network; called once.</param>
    /// <param name="process">The forward process.</param>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="learnsVariance">Whether the network answers with twice the channels of x_0.</param>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule; the network is told of them on the device of <paramref name="x0"/>.</param>
    /// <param name="noise">The shape of <paramref name="x0"/>.</param>
    /// <param name="condition">Of the same batch size, or null.</param>
    public static (Tensor Xt, Tensor Output) Predict(
        IDenoiser denoiser,
        ForwardProcess process,
        IPrediction prediction,
        bool learnsVariance,
        Tensor x0,
        Tensor t,
        Tensor noise,
        Condition? condition)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(process);
        var xt = process.Sample(x0, t, noise);
        using var input = process.NetworkInput(prediction, xt, t);
        using var told = process.NetworkTimes(t);
        using var time = told.to(x0.device, non_blocking: true);
        var output = denoiser.Predict(input, time, condition);
        var expected = x0.shape;
        if (learnsVariance)
            expected[1] = expected.Length > 1
                ? 2 * expected[1]
                : throw new ArgumentException($"A learned variance needs samples [B, C, ...], got {Guard.Format(x0.shape)}.", nameof(x0));
        Guard.Shape(output, expected);
        return (xt, output);
    }

    /// <summary>[B] the mean over all dimensions but the first.</summary>
    public static Tensor MeanOfSamples(Tensor values)
    {
        using var rows = values.reshape(values.shape[0], -1);
        return rows.mean([1L]);
    }

    /// <summary>[B] the sum over all dimensions but the first.</summary>
    public static Tensor SumOfSamples(Tensor values)
    {
        using var rows = values.reshape(values.shape[0], -1);
        return rows.sum(1L);
    }

    /// <summary>The discrete schedule of a process.</summary>
    /// <exception cref="ArgumentException">The schedule has no steps.</exception>
    public static DiscreteSchedule Discrete(INoiseSchedule schedule) => schedule as DiscreteSchedule
        ?? throw new ArgumentException(
            $"A variational bound needs the steps of a {nameof(DiscreteSchedule)}, got {schedule.GetType().Name}.", nameof(schedule));
}
