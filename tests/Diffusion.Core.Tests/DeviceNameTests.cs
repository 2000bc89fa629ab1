using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Tests;

public class DeviceNameTests
{
    [Fact]
    public void The_cpu_is_always_there() => DeviceName.Parse("cpu").type.Should().Be(DeviceType.CPU);

    [Fact]
    public void Auto_is_a_device_that_works()
    {
        using var tensor = torch.ones([2], device: DeviceName.Parse("auto"));

        tensor.sum().item<float>().Should().Be(2);
    }

    [Theory]
    [InlineData("")]
    [InlineData("gpu")]
    [InlineData("CPU")]
    [InlineData("cpu:0")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda:one")]
    [InlineData("cuda:1:2")]
    [Trait(Category.Name, Category.Fault)]
    public void Unknown_names_are_refused_by_name(string name)
        => FluentActions.Invoking(() => DeviceName.Parse(name)).Should().Throw<ArgumentException>().WithMessage($"*auto, cpu, cuda or cuda:N*'{name}'*");

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_device_that_is_not_there_is_refused_by_name()
        => FluentActions.Invoking(() => DeviceName.Parse("cuda:99")).Should().Throw<ArgumentException>().WithMessage("*cuda:99 is not available*");

    [Fact]
    [Trait(Category.Name, Category.Gpu)]
    public void Cuda_is_the_first_gpu()
    {
        Assert.SkipUnless(torch.cuda.is_available(), "There is no CUDA device here.");

        DeviceName.Parse("cuda").index.Should().Be(0);
        DeviceName.Parse("cuda:0").index.Should().Be(0);
    }
}
