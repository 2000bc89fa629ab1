using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Diffusion.Core.Data;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class BufferedBatchesTests
{
    private const int BatchSize = 5;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Memory_is_used_again_and_every_batch_holds_its_own_samples(int workers)
    {
        const int Depth = 3;
        var addresses = new HashSet<nint>();
        using var loader = Loader(Numbers(), workers, Depth);
        for (var step = 0; step < 300; step++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            addresses.Add(Address(batch.Samples));
            Requires(batch, loader.Indices);
        }

        addresses.Count.Should().BeLessThanOrEqualTo(workers == 0 ? 1 : 1 + Depth);
    }

    [Fact]
    public void Memory_of_a_batch_in_use_is_not_used_again()
    {
        using var loader = Loader(Numbers(), workers: 2, depth: 2);
        var held = loader.Next(TestContext.Current.CancellationToken);
        var indices = loader.Indices.ToArray();
        for (var step = 0; step < 100; step++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            Address(batch.Samples).Should().NotBe(Address(held.Samples));
            Address(batch.Condition!.Labels!).Should().NotBe(Address(held.Condition!.Labels!));
        }

        Requires(held, indices);
        var before = Address(held.Samples);
        held.Dispose();
        var after = Enumerable.Range(0, 10).Select(_ =>
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            return Address(batch.Samples);
        });
        after.Should().Contain(before);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Dispose_scopes_of_the_thread_that_trains_do_not_touch_the_memory(int workers)
    {
        using var loader = Loader(Numbers(), workers, depth: 2);
        for (var step = 0; step < 50; step++)
        {
            using var scope = NewDisposeScope();
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            Requires(batch, loader.Indices);
            batch.Samples.requires_grad_(true);
            batch.Samples.Dispose();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Ten_thousand_batches_leave_no_tensors(int workers)
        => LiveTensors.Change(() =>
        {
            var data = Numbers().With(Augmentation.Dequantise());
            Batch held;
            using (var loader = Loader(data, workers, depth: 4))
            {
                for (var step = 0; step < 10_000; step++)
                    loader.Next(TestContext.Current.CancellationToken).Dispose();
                held = loader.Next(TestContext.Current.CancellationToken);
            }

            // The loader is gone: its memory goes with the last batch in use.
            held.Samples.numel().Should().Be(2 * BatchSize);
            held.Dispose();
        }).Should().Be(0);

    [Fact]
    public void A_batch_takes_no_new_memory_to_speak_of()
    {
        using var images = zeros(64, 3, 32, 32);
        var data = new TensorDataset(images).With(Augmentation.Crop(32, 32, 4), Augmentation.Flip(), Augmentation.Dequantise());
        using var loader = new BatchLoader<Batch>(data, 32, seed: 1, options: new LoaderOptions { Workers = 0 });
        for (var step = 0; step < 10; step++)
            loader.Next(TestContext.Current.CancellationToken).Dispose();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var step = 0; step < 100; step++)
            loader.Next(TestContext.Current.CancellationToken).Dispose();

        // The batch itself is 393,216 bytes.
        ((GC.GetAllocatedBytesForCurrentThread() - before) / 100).Should().BeLessThan(4_000);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_data_set_that_only_loads_serves_as_well_and_leaves_no_tensors(int workers)
        => LiveTensors.Change(() =>
        {
            using var loader = new BatchLoader<Batch>(new Points(20), BatchSize, 3, new LoaderOptions { Workers = workers });
            for (var step = 0; step < 100; step++)
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                using var expected = new Points(20).Load([.. loader.Indices]);
                batch.Samples.data<float>().ToArray().Should().Equal(expected.Samples.data<float>().ToArray());
            }
        }).Should().Be(0);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_failure_leaves_no_tensors()
        => LiveTensors.Change(() =>
        {
            using var loader = new BatchLoader<Batch>(new Broken(), BatchSize, 3, new LoaderOptions { Workers = 2 });
            loader.Next(TestContext.Current.CancellationToken).Dispose();
            loader.Invoking(it => it.Next()).Should().Throw<BatchLoadException>().Which.Step.Should().Be(1);
            FluentActions.Invoking(() => ((IDataset)new Broken()).Load([77])).Should().Throw<SampleException>();
        }).Should().Be(0);

    [Fact]
    [Trait(Category.Name, Category.Gpu)]
    public void Batches_for_a_cuda_device_are_pinned_and_copied_without_waiting()
    {
        Assert.SkipUnless(cuda.is_available(), "There is no CUDA device.");
        using var loader = new BatchLoader<Batch>(Numbers(), BatchSize, 3, device: CUDA);
        for (var step = 0; step < 200; step++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            using var moved = batch.To(CUDA, ScalarType.Float32);
            batch.Dispose();
            using var back = moved.To(CPU, ScalarType.Float32);
            Requires(back, loader.Indices);
        }
    }

    private static TensorDataset Numbers()
    {
        using var scope = NewDisposeScope();
        var samples = arange(80, dtype: ScalarType.Float32).view(40, 2);
        var labels = arange(40, dtype: ScalarType.Int64);
        return new TensorDataset(samples, labels);
    }

    private static void Requires(Batch batch, IReadOnlyList<long> indices)
    {
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(indices);
        batch.Samples.data<float>().ToArray().Should().Equal(indices.SelectMany(i => (float[])[2 * i, (2 * i) + 1]));
    }

    private static BatchLoader<Batch> Loader(IDataset data, int workers, int depth)
        => new(data, BatchSize, 3, new LoaderOptions { Workers = workers, PrefetchFactor = depth });

    private static nint Address(Tensor tensor)
        => Unsafe.ByteOffset(ref Unsafe.NullRef<byte>(), ref MemoryMarshal.GetReference(tensor.bytes));

    /// <summary>Of 100 samples, those of the second batch are missing.</summary>
    private sealed class Broken : IBufferedDataset
    {
        private readonly long[] _missing = new long[BatchSize];

        public Broken() => new DataOrder(3, 100, BatchSize).Fill(1, _missing);

        public long Count => 100;

        public IReadOnlyList<long> SampleShape => [2];

        public bool HasLabels => true;

        public LoadThreading Threading => LoadThreading.Concurrent;

        public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
        {
            samples.Clear();
            labels.Clear();
            foreach (var index in indices)
            {
                if ((index == 77 && indices.Length == 1) || _missing.Contains(index))
                    throw new SampleException(index, "missing.");
            }
        }
    }
}
