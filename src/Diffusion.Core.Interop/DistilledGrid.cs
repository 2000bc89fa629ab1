using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>The indices of networks distilled at few times: N of the <c>original_inference_steps</c> they were distilled at.</summary>
internal static class DistilledGrid
{
    /// <param name="config">The configuration.</param>
    /// <param name="call">N, or times of one's own.</param>
    /// <param name="endsClean">Whether the last step leads to data without noise; otherwise to index 0.</param>
    public static TimeGrid Of(SchedulerConfig config, SchedulerCall call, bool endsClean)
    {
        var schedule = TrainedSchedule.Of(config);
        var finalLevel = endsClean ? NoiseLevel.Clean : schedule.LevelAt(0);
        var count = call.Count();
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} takes times, not sigmas.");
        Guard.InRange(Guard.Positive(call.Strength), 0.0, 1.0, nameof(call.Strength));
        if (call.Timesteps is { } times)
            return call.Strength == 1.0
                ? new TimeGrid(schedule, [.. times], finalLevel)
                : throw new NotSupportedException($"{config.ClassName} takes times of one's own or a strength, not both.");
        var original = call.OriginalInferenceSteps ?? config.Whole("original_inference_steps", 50);
        var stride = schedule.Steps / Guard.InRange(original, 1, schedule.Steps, "original_inference_steps");
        var used = (int)(original * call.Strength);
        Guard.InRange(count, 1, used, "Steps");

        // Even indices from the noisiest one on, rounded down as numpy does it.
        var indices = new double[count];
        for (var k = 0; k < count; k++)
            indices[k] = ((used - (int)(k * ((double)used / count))) * stride) - 1;
        return new TimeGrid(schedule, indices, finalLevel);
    }
}
