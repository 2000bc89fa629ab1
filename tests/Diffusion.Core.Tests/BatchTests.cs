using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class BatchTests
{
    [Fact]
    public void A_slice_has_its_samples_and_their_condition()
    {
        using var batch = Make();
        batch.Count.Should().Be(4);

        using var slice = batch.Slice(1, 2);

        slice.Count.Should().Be(2);
        slice.Samples.data<float>().ToArray().Should().Equal(2, 3, 4, 5);
        slice.Condition!.Labels!.data<long>().ToArray().Should().Equal(1, 2);
    }

    [Fact]
    public void Only_samples_take_the_element_type()
    {
        using var batch = Make();

        using var half = batch.To(CPU, ScalarType.BFloat16);

        half.Samples.dtype.Should().Be(ScalarType.BFloat16);
        half.Condition!.Labels!.dtype.Should().Be(ScalarType.Int64);
        batch.Samples.dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void Slices_and_copies_are_freed_apart_and_twice_is_once()
        => LiveTensors.Change(() =>
        {
            using var batch = Make();
            using (var slice = batch.Slice(0, 4))
            using (var copy = slice.To(CPU, ScalarType.Float32))
                copy.Dispose();
            batch.Samples.data<float>().ToArray().Should().Equal(0, 1, 2, 3, 4, 5, 6, 7);
            batch.Dispose();
        }).Should().Be(0);

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(4, 1)]
    [InlineData(0, 0)]
    [InlineData(2, 3)]
    [Trait(Category.Name, Category.Fault)]
    public void A_slice_beyond_the_batch_is_refused(long first, long count)
    {
        using var batch = Make();

        batch.Invoking(it => it.Slice(first, count)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static Batch Make()
    {
        using var flat = arange(8, dtype: ScalarType.Float32);
        return new Batch(flat.reshape(4, 2), Condition.OfLabels([0, 1, 2, 3]));
    }
}
