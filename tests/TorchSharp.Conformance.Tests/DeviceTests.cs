using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Names of devices and where tensors are.</summary>
public class DeviceTests
{
    [Fact]
    public void A_tensor_is_on_the_cpu_unless_said_otherwise()
    {
        using var x = zeros([2]);
        x.device.type.Should().Be(DeviceType.CPU);
        x.device.index.Should().Be(-1);
        x.device_type.Should().Be(DeviceType.CPU);
        x.device_index.Should().Be(-1);
        x.device.ToString().Should().Be("cpu");
    }

    [Theory]
    [InlineData("cpu", DeviceType.CPU, -1, "cpu")]
    [InlineData("CPU", DeviceType.CPU, -1, "cpu")]
    [InlineData("cuda", DeviceType.CUDA, -1, "cuda")]
    [InlineData("cuda:0", DeviceType.CUDA, 0, "cuda:0")]
    [InlineData("cuda:3", DeviceType.CUDA, 3, "cuda:3")]
    public void A_description_is_parsed_without_asking_the_machine(string description, DeviceType type, int index, string written)
    {
        var parsed = new Device(description);
        parsed.type.Should().Be(type);
        parsed.index.Should().Be(index);
        parsed.ToString().Should().Be(written);
    }

    [Fact]
    public void A_device_can_be_made_from_its_parts()
    {
        new Device(DeviceType.CUDA, 1).ToString().Should().Be("cuda:1");
        new Device(DeviceType.CPU).ToString().Should().Be("cpu");
        CPU.type.Should().Be(DeviceType.CPU);
        device("cpu").type.Should().Be(DeviceType.CPU);
    }

    [Theory]
    [InlineData("nope")]
    [InlineData("")]
    [InlineData("gpu:0")]
    public void An_unknown_device_is_an_argument_exception(string description)
    {
        ((Action)(() => _ = new Device(description))).Should().Throw<ArgumentException>();
        ((Action)(() => _ = device(description))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_device_number_that_is_none_is_a_format_exception()
        => ((Action)(() => _ = new Device("cuda:x"))).Should().Throw<FormatException>();

    [Fact]
    public void Two_devices_are_never_equal_objects()
        => new Device("cpu").Equals(new Device("cpu")).Should().BeFalse("a Device has the identity of its object");

    [Fact]
    public void Cuda_is_there_or_refused_with_an_exception()
    {
        if (cuda.is_available())
        {
            cuda.device_count().Should().BePositive();
            using var x = zeros([2], device: new Device("cuda:0"));
            x.device.ToString().Should().Be("cuda:0");
            using var back = x.cpu();
            back.ShouldHold(0, 0);
            CUDA.type.Should().Be(DeviceType.CUDA);
        }
        else
        {
            cuda.device_count().Should().Be(0);
            using var x = zeros([2]);
            ((Action)(() => x.cuda())).Should().Throw<InvalidOperationException>();
            ((Action)(() => _ = CUDA)).Should().Throw<InvalidOperationException>();
            ((Action)(() => x.to(new Device("cuda:0")))).Should().Throw<InvalidOperationException>();
            ((Action)(() => zeros([2], device: new Device("cuda:0")))).Should().Throw<InvalidOperationException>();
        }
    }

    [Fact]
    public void Memory_is_pinned_where_there_is_a_cuda_device_and_is_an_error_elsewhere()
    {
        using var x = arange(6, dtype: ScalarType.Float32);
        if (!cuda.is_available())
        {
            ((Action)(() => x.pin_memory().Dispose())).Should().Throw<System.Runtime.InteropServices.ExternalException>();
            return;
        }

        using var pinned = x.pin_memory();
        pinned.device_type.Should().Be(DeviceType.CPU);
        pinned.data<float>().ToArray().Should().Equal(0, 1, 2, 3, 4, 5);
        pinned.bytes[0] = 1;
        x.bytes[0].Should().Be(0, "a pinned tensor is a copy");
    }
}
