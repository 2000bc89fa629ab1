using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

/// <summary>
/// The meta device stands in for an accelerator: its tensors have no values, so that whatever is read back from it to the host is an error.
/// </summary>
public sealed class DeviceTests
{
    private static readonly torch.Device _meta = new(DeviceType.META);

    [Theory]
    [InlineData(1.0)]
    [InlineData(3.0)]
    public void Times_of_a_continuous_schedule_stay_on_the_CPU_and_the_network_is_told_on_its_own_device(double shift)
    {
        using var scope = torch.NewDisposeScope();
        var (x0, noise) = (torch.zeros([4, 3], device: _meta), torch.zeros([4, 3], device: _meta));
        var t = torch.tensor(new[] { 0.1, 0.4, 0.5, 0.9 });
        var devices = new List<DeviceType>();
        var denoiser = new FunctionDenoiser((x, told) =>
        {
            devices.AddRange([x.device_type, told.device_type]);
            return x.mul(told.to(x.dtype).unsqueeze(1));
        });
        using var model = denoiser.On(new RectifiedFlowSchedule(shift: TimestepShift.Static(shift)), Prediction.Edm());

        using var terms = new InputPerturbation(new SimpleLoss(weighting: LossWeighting.MinSnr())).Evaluate(
            new LossContext(model, x0, t, noise));

        devices.Should().Equal(DeviceType.META, DeviceType.META);
        terms.Loss.device_type.Should().Be(DeviceType.META);
        terms.Loss.shape.Should().Equal(4);
    }
}
