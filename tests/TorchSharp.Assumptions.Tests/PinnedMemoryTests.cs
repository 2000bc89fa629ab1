using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Pinned memory.</summary>
public class PinnedMemoryTests
{
    [Fact]
    public void Without_a_CUDA_device_pin_memory_throws_and_with_one_it_copies()
    {
        using var x = zeros([6]);
        if (!cuda.is_available())
        {
            FluentActions.Invoking(() => x.pin_memory().Dispose()).Should().Throw<ExternalException>();
            return;
        }

        using var pinned = x.pin_memory();
        pinned.device_type.Should().Be(DeviceType.CPU);
        pinned.fill_(1);
        x.ShouldHold(0, 0, 0, 0, 0, 0);
    }
}
