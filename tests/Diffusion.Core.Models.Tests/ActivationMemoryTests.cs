using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Looks at the memory of the process, and therefore runs when no other test does.</summary>
[CollectionDefinition(nameof(ActivationMemoryTests), DisableParallelization = true)]
[Collection(nameof(ActivationMemoryTests))]
public class ActivationMemoryTests
{
    // Tensors of more than 32 MiB are mapped one by one, and leave the process when they are freed.
    private const long Elements = 10_000_000;
    private const long Bytes = Elements * sizeof(float);

    [Fact]
    public void Only_the_inputs_are_held_between_forward_and_backward()
    {
        Held(checkpointed: false).Should().BeGreaterThan(3 * Bytes);
        Held(checkpointed: true).Should().BeLessThan(Bytes);
    }

    private static long Held(bool checkpointed)
    {
        using var scope = NewDisposeScope();
        using var x = ones([Elements]).requires_grad_();
        var before = ResidentBytes();
        using var result = ActivationCheckpoint.RunIf(checkpointed, Sines, x);
        var held = ResidentBytes() - before;
        result.backward();
        return held;
    }

    /// <summary>A sum that needs five tensors for its gradient.</summary>
    private static Tensor Sines(Tensor input)
    {
        using var scope = NewDisposeScope();
        var y = input;
        for (var k = 0; k < 5; k++)
            y = y.sin();
        return y.sum().MoveToOuterDisposeScope();
    }

    private static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Environment.WorkingSet;
    }
}
