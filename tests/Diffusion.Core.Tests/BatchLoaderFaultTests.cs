using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

[Trait(Category.Name, Category.Fault)]
public class BatchLoaderFaultTests
{
    private const int BatchSize = 4;
    private const long Seed = 9;

    private static readonly TimeSpan s_never = TimeSpan.FromMinutes(1);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    public void A_failure_surfaces_at_its_step_after_the_batches_before_it(int workers)
    {
        var damaged = StepIndices(3);
        using var failed = new ManualResetEventSlim();
        var data = new Probes(100)
        {
            Loading = (_, indices, token) =>
            {
                // With threads enough the failure comes before the first batch is there.
                if (workers == 4 && indices.SequenceEqual(StepIndices(0)))
                    failed.Wait(s_never, token).Should().BeTrue("the fourth step loads too");
                if (!indices.SequenceEqual(damaged))
                    return;
                failed.Set();
                throw new SampleException(indices[1], "its file is damaged.", new IOException("disk"));
            },
        };
        using (var loader = Loader(data, workers))
        {
            for (var step = 0; step < 3; step++)
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                batch.Indices.Should().Equal(StepIndices(step));
            }

            for (var again = 0; again < 2; again++)
            {
                var failure = loader.Invoking(it => it.Next(TestContext.Current.CancellationToken))
                    .Should().Throw<BatchLoadException>().WithMessage($"Step 3*sample {damaged[1]}*{string.Join(", ", damaged)}*its file is damaged.")
                    .Which;
                failure.Step.Should().Be(3);
                failure.Index.Should().Be(damaged[1]);
                failure.Indices.Should().Equal(damaged);
                failure.InnerException.Should().BeOfType<SampleException>().Which.InnerException.Should().BeOfType<IOException>();
                loader.Step.Should().Be(3);
            }
        }

        data.Live.Should().Be(0);
    }

    [Fact]
    public void Any_exception_surfaces_and_a_long_batch_is_named_by_its_first_samples()
    {
        var data = new Probes(100) { Loading = (_, _, _) => throw new DivideByZeroException("why") };
        using var loader = new BatchLoader<Probe>(data, 20, Seed);

        var failure = loader.Invoking(it => it.Next()).Should().Throw<BatchLoadException>().WithMessage("Step 0*and 12 more: why").Which;

        failure.Index.Should().BeNull();
        failure.Indices.Should().HaveCount(20);
        failure.InnerException.Should().BeOfType<DivideByZeroException>();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_step_whose_place_no_number_holds_is_a_failure_of_that_step(int workers)
    {
        using var loader = new BatchLoader<Probe>(new Probes(10), BatchSize, Seed, Options(workers) with { FirstStep = long.MaxValue / 2 });

        loader.Invoking(it => it.Next()).Should().Throw<BatchLoadException>().WithInnerException<OverflowException>();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void A_batch_without_memory_for_its_indices_is_a_failure_of_its_step(int workers)
    {
        // No array has so many elements: .NET throws OutOfMemoryException.
        using var loader = new BatchLoader<Probe>(new Probes(10), int.MaxValue, Seed, Options(workers));

        for (var again = 0; again < 2; again++)
            loader.Invoking(it => it.Next()).Should().Throw<BatchLoadException>().WithMessage("Step 0 failed to load its batch: *")
                .WithInnerException<OutOfMemoryException>();
    }

    [Fact]
    public void An_exception_of_a_cancellation_that_nobody_asked_for_surfaces()
    {
        var data = new Probes(100) { Loading = (_, _, _) => throw new OperationCanceledException("why") };
        using var loader = Loader(data, 1);

        loader.Invoking(it => it.Next()).Should().Throw<BatchLoadException>().WithInnerException<OperationCanceledException>();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_cancelled_wait_ends_and_the_batch_comes_later(int workers)
    {
        using var cancelled = new CancellationTokenSource();
        using var go = new ManualResetEventSlim();
        var data = new Probes(100)
        {
            Loading = (call, _, token) =>
            {
                cancelled.Cancel();
                if (workers == 0)
                    token.ThrowIfCancellationRequested();
                else
                    go.Wait(s_never, token);
            },
        };
        using var loader = Loader(data, workers);

        loader.Invoking(it => it.Next(cancelled.Token)).Should().Throw<OperationCanceledException>();

        go.Set();
        using var batch = loader.Next(TestContext.Current.CancellationToken);
        batch.Indices.Should().Equal(StepIndices(0));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Disposal_ends_all_threads_and_frees_what_was_not_handed_out(int workers)
    {
        var data = new Probes(100);
        Probe held;
        using (var loader = Loader(data, workers))
        {
            loader.Next(TestContext.Current.CancellationToken).Dispose();
            held = loader.Next(TestContext.Current.CancellationToken);
        }

        data.Threads.Keys.Count(thread => thread != Thread.CurrentThread && thread.IsAlive).Should().Be(0);
        data.Live.Should().Be(1, "the batch in use is the caller's");
        held.Dispose();
        data.Live.Should().Be(0);
    }

    [Fact]
    public void Disposal_tells_a_data_set_that_takes_long_to_stop()
    {
        using var entered = new CountdownEvent(2);
        var data = new Probes(100)
        {
            Loading = (_, _, token) =>
            {
                entered.Signal();
                token.WaitHandle.WaitOne(s_never).Should().BeTrue("disposal cancels");
                token.ThrowIfCancellationRequested();
            },
        };
        var loader = Loader(data, workers: 2);
        entered.Wait(s_never, TestContext.Current.CancellationToken).Should().BeTrue();

        loader.Dispose();
        loader.Dispose();

        data.Threads.Keys.Should().HaveCount(2).And.OnlyContain(thread => !thread.IsAlive);
        loader.Invoking(it => it.Next()).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void A_batch_finished_during_disposal_is_freed_too()
    {
        using var entered = new ManualResetEventSlim();
        var data = new Probes(100)
        {
            Loading = (_, _, token) =>
            {
                entered.Set();
                token.WaitHandle.WaitOne(s_never);
            },
        };
        var loader = Loader(data, workers: 1);
        entered.Wait(s_never, TestContext.Current.CancellationToken).Should().BeTrue();

        loader.Dispose();

        data.Calls.Should().Be(1);
        data.Live.Should().Be(0);
    }

    private static long[] StepIndices(long step)
    {
        var indices = new long[BatchSize];
        new DataOrder(Seed, 100, BatchSize).Fill(step, indices);
        return indices;
    }

    private static LoaderOptions Options(int workers) => new() { Workers = workers, PrefetchFactor = 4 };

    private static BatchLoader<Probe> Loader(Probes data, int workers) => new(data, BatchSize, Seed, Options(workers));
}
