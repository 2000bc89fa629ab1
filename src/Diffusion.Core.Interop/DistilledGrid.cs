using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>The indices of networks distilled at few times: N of the <c>original_inference_steps</c> they were distilled at.</summary>
internal static class DistilledGrid
{
    public static TimeGrid Of(SchedulerConfig config, SchedulerCall call, NoiseLevel finalLevel)
    {
        var schedule = TrainedSchedule.Of(config);
        var count = call.Count();
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} takes times, not sigmas.");
        if (call.Timesteps is { } times)
            return new TimeGrid(schedule, [.. times], finalLevel);
        var original = config.Whole("original_inference_steps", 50);
        var stride = schedule.Steps / Guard.InRange(original, 1, schedule.Steps, "original_inference_steps");
        Guard.InRange(count, 1, original, "Steps");
        var indices = new double[count];
        for (var k = 0; k < count; k++)
            indices[k] = ((original - ((long)original * k / count)) * stride) - 1;
        return new TimeGrid(schedule, indices, finalLevel);
    }
}
