using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>Small tensors of the tests.</summary>
internal static class TestTensors
{
    /// <summary>[B] indices of a discrete schedule.</summary>
    public static torch.Tensor Times(params long[] t) => torch.tensor(t, dtype: torch.ScalarType.Int64);

    /// <summary>[T] all indices of a schedule.</summary>
    public static torch.Tensor AllTimes(DiscreteSchedule schedule) => Times([.. Enumerable.Range(0, schedule.Steps)]);

    /// <summary>[B] numbers in double precision.</summary>
    public static torch.Tensor Values(params double[] values) => torch.tensor(values, dtype: torch.ScalarType.Float64);

    /// <summary>One number everywhere, in double precision.</summary>
    public static torch.Tensor Filled(double value, long[] shape) => torch.ones(shape, dtype: torch.ScalarType.Float64).mul(value);
}
