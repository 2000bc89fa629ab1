using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary><see cref="INoiseSchedule.NetworkTime"/> for a batch whose samples each have their own t. Owns its table.</summary>
internal sealed class NetworkTimes(INoiseSchedule schedule) : IDisposable
{
    private readonly DeviceTable? _table = schedule is DiscreteSchedule { IsRespaced: true } discrete
        ? new DeviceTable([.. Enumerable.Range(0, discrete.Steps).Select(t => discrete.NetworkTime(t))])
        : null;

    /// <summary>What a network is told at the times of a batch.</summary>
    /// <param name="t">[B] times of the schedule.</param>
    /// <returns>The shape, type and device of <paramref name="t"/>; the caller's.</returns>
    public Tensor At(Tensor t)
    {
        ArgumentNullException.ThrowIfNull(t);
        if (_table is not null)
            return _table.Gather(t, t, t.dtype);
        if (schedule is DiscreteSchedule)
            return t.alias();
        using var host = t.to(ScalarType.Float64, copy: true);
        using var local = host.cpu();
        var values = Array.ConvertAll(local.data<double>().ToArray(), schedule.NetworkTime);
        return tensor(values, dtype: t.dtype, device: t.device);
    }

    /// <inheritdoc/>
    public void Dispose() => _table?.Dispose();
}
