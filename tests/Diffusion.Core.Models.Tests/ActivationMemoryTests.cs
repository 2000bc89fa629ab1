using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Looks at the memory of the process, and therefore runs when no other test does.</summary>
[CollectionDefinition(nameof(ActivationMemoryTests), DisableParallelization = true)]
[Collection(nameof(ActivationMemoryTests))]
public class ActivationMemoryTests
{
    private const long Elements = 10_000_000;
    private const long Bytes = Elements * sizeof(float);

    [Fact]
    public void Only_the_inputs_are_held_between_forward_and_backward()
    {
        // The count includes what the compiler of the runtime allocates and frees on its own thread in the meantime.
        const long other = Bytes / 5;
        Held(checkpointed: false).Should().BeInRange((4 * Bytes) - other, (4 * Bytes) + other);
        Held(checkpointed: true).Should().BeInRange(-other, other);
    }

    private static long Held(bool checkpointed)
    {
        using var scope = NewDisposeScope();
        using var x = ones([Elements]).requires_grad_();
        var before = MappedMemory.BytesInUse();
        using var result = GradientCheckpointing.RunIf(checkpointed, Sines, x);
        var held = MappedMemory.BytesInUse() - before;
        result.backward();
        return held;
    }

    /// <summary>A sum that needs five tensors for its gradient, the input among them.</summary>
    private static Tensor Sines(Tensor input)
    {
        using var scope = NewDisposeScope();
        var y = input;
        for (var k = 0; k < 5; k++)
            y = y.sin();
        return y.sum().MoveToOuterDisposeScope();
    }
}
