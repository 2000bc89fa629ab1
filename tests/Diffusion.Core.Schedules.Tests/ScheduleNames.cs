using Diffusion.Core.Testing;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>The names of <see cref="TestSchedules"/>, as theory data of this assembly.</summary>
public static class ScheduleNames
{
    public static TheoryData<string> Discrete => TestSchedules.Names;

    public static TheoryData<string> Continuous => TestSchedules.ContinuousNames;

    public static TheoryData<string> All => TestSchedules.AllNames;
}
