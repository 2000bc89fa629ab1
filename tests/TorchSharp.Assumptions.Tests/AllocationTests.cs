using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Memory that is not there.</summary>
public class AllocationTests
{
    [Fact]
    public void A_failed_allocation_is_an_external_exception_whose_message_names_the_allocator()
        => FluentActions.Invoking(() => empty([1L << 50])).Should().ThrowExactly<ExternalException>().WithMessage("*DefaultCPUAllocator*");
}
