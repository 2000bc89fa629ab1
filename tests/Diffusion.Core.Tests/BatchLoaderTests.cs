using System.Diagnostics;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class BatchLoaderTests
{
    private const int BatchSize = 4;
    private const long Seed = 9;

    // Long enough that only what never happens takes so long.
    private static readonly TimeSpan s_never = TimeSpan.FromMinutes(1);

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 4)]
    [InlineData(1, 1)]
    [InlineData(1, 4)]
    [InlineData(3, 1)]
    [InlineData(3, 3)]
    [InlineData(3, 8)]
    public void Batches_are_those_of_the_order_however_many_threads_load(int workers, int depth)
    {
        var data = new Probes(11) { Loading = (call, _, _) => Thread.SpinWait(1000 * (call % 3)) };
        using var loader = Loader(data, workers, depth);
        var order = new DataOrder(Seed, 11, BatchSize);
        for (var step = 0; step < 100; step++)
        {
            var (indices, seeds) = (new long[BatchSize], new ulong[BatchSize]);
            order.Fill(step, indices, seeds);

            loader.Step.Should().Be(step);
            using var batch = loader.Next(TestContext.Current.CancellationToken);

            batch.Indices.Should().Equal(indices);
            batch.Seeds.Should().Equal(seeds);
            loader.Indices.Should().Equal(indices);
        }
    }

    [Fact]
    public void A_batch_that_is_ready_early_waits_for_the_ones_before_it()
    {
        using var others = new CountdownEvent(2);
        var first = Batches(1).Single().Indices;
        var data = new Probes(50)
        {
            Loading = (_, indices, token) =>
            {
                if (indices.SequenceEqual(first))
                    others.Wait(s_never, token).Should().BeTrue("later batches load meanwhile");
                else if (!others.IsSet)
                    others.Signal();
            },
        };
        using var loader = Loader(data, workers: 3, depth: 3);

        using var batch = loader.Next(TestContext.Current.CancellationToken);

        batch.Indices.Should().Equal(first);
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 1)]
    [InlineData(3, 5)]
    public void A_loader_made_at_a_step_goes_on_where_another_stopped(int workers, int depth)
    {
        var through = Batches(30);
        foreach (var first in (int[])[0, 1, 2, 12, 29])
        {
            using var loader = Loader(new Probes(50), workers, depth, first);
            for (var step = first; step < 30; step++)
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                batch.Indices.Should().Equal(through[step].Indices);
                batch.Seeds.Should().Equal(through[step].Seeds);
            }
        }
    }

    [Fact]
    public void The_seed_of_a_sample_is_a_function_of_seed_epoch_and_index()
    {
        var seen = new Dictionary<(int Epoch, long Index), ulong>();
        foreach (var size in (int[])[1, 3, 10, 25])
        {
            using var loader = new BatchLoader<Probe>(new Probes(10), size, Seed);
            for (var place = 0; place < 100; place += size)
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                for (var i = 0; i < size; i++)
                {
                    var key = ((place + i) / 10, batch.Indices[i]);
                    if (!seen.TryAdd(key, batch.Seeds[i]))
                        batch.Seeds[i].Should().Be(seen[key]);
                }
            }
        }

        seen.Values.Should().OnlyHaveUniqueItems();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_next_batches_load_while_one_is_in_use_and_no_more_than_the_depth(int workers)
    {
        const int Depth = 3;
        BatchLoader<Probe>? loader = null;
        var tooFar = false;
        using var ahead = new CountdownEvent(1 + Depth);
        var data = new Probes(50)
        {
            Loading = (call, _, _) =>
            {
                // The step only grows, so that what was within reach when it was taken still is.
                tooFar |= call >= (Volatile.Read(ref loader)?.Step ?? 0) + Depth;
                if (!ahead.IsSet)
                    ahead.Signal();
            },
        };
        Volatile.Write(ref loader, Loader(data, workers, Depth));
        using (loader)
        {
            using (loader!.Next(TestContext.Current.CancellationToken))
                ahead.Wait(s_never, TestContext.Current.CancellationToken).Should().BeTrue("the next ones load while this one is in use");
            for (var i = 0; i < 200; i++)
                loader.Next(TestContext.Current.CancellationToken).Dispose();
        }

        tooFar.Should().BeFalse();
    }

    [Fact]
    public void A_data_set_that_must_be_loaded_by_the_caller_is()
    {
        var data = new Probes(50) { Threading = LoadThreading.Caller };
        using var loader = Loader(data, workers: 3, depth: 3);
        for (var i = 0; i < 5; i++)
        {
            data.Calls.Should().Be(i);
            loader.Next(TestContext.Current.CancellationToken).Dispose();
        }

        data.Threads.Keys.Should().Equal(Thread.CurrentThread);
    }

    [Fact]
    public void A_data_set_that_allows_one_thread_at_a_time_sees_one()
    {
        var data = new Probes(50) { Threading = LoadThreading.OneAtATime, Loading = (_, _, _) => Thread.SpinWait(2000) };
        using var loader = Loader(data, workers: 4, depth: 4);
        for (var i = 0; i < 300; i++)
            loader.Next(TestContext.Current.CancellationToken).Dispose();

        data.MostInside.Should().Be(1);
        new Points(3).As<IDataset<Batch>>().Threading.Should().Be(LoadThreading.OneAtATime, "a data set that says nothing is safe so");
    }

    [Fact]
    public void Several_threads_load_at_once_where_they_may()
    {
        using var meeting = new Barrier(3);
        var data = new Probes(50)
        {
            Loading = (call, _, token) =>
            {
                if (call < 3)
                    meeting.SignalAndWait(s_never, token).Should().BeTrue("three threads load together");
            },
        };
        using var loader = Loader(data, workers: 3, depth: 3);
        for (var i = 0; i < 3; i++)
            loader.Next(TestContext.Current.CancellationToken).Dispose();
    }

    [Fact]
    public void The_time_waited_is_counted()
    {
        var data = new Probes(50)
        {
            Loading = (_, _, _) =>
            {
                var since = Stopwatch.GetTimestamp();
                SpinWait.SpinUntil(() => Stopwatch.GetElapsedTime(since) >= TimeSpan.FromMilliseconds(3));
            },
        };
        using var loader = Loader(data, workers: 0, depth: 1);
        loader.Waited.Should().Be(TimeSpan.Zero);
        loader.Next(TestContext.Current.CancellationToken).Dispose();
        loader.Next(TestContext.Current.CancellationToken).Dispose();

        loader.Waited.Should().BeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(6));
    }

    [Fact]
    public void Two_loaders_on_two_threads_give_what_each_gives_alone()
    {
        var expected = Batches(200);
        using var start = new Barrier(2);
        var results = new long[2][][];
        var threads = Enumerable.Range(0, 2).Select(n => new Thread(() =>
        {
            start.SignalAndWait(s_never);
            using var loader = Loader(new Probes(50), workers: 2, depth: 3);
            results[n] = [.. Enumerable.Range(0, 200).Select(_ => Take(loader))];
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();

        foreach (var result in results)
            result.Should().BeEquivalentTo(expected.Select(batch => batch.Indices), options => options.WithStrictOrdering());
    }

    [Theory]
    [InlineData(0, 10, 1, 1)]
    [InlineData(5, 0, 1, 1)]
    [InlineData(5, 1, -1, 1)]
    [InlineData(5, 1, 1, 0)]
    [Trait(Category.Name, Category.Fault)]
    public void What_cannot_be_loaded_is_refused(long count, int batchSize, int workers, int depth)
        => FluentActions
            .Invoking(() => new BatchLoader<Probe>(
                new Probes(count), batchSize, Seed, new LoaderOptions { Workers = workers, PrefetchFactor = depth }))
            .Should().Throw<ArgumentException>();

    /// <summary>What an uninterrupted run sees.</summary>
    private static Probe[] Batches(int steps)
    {
        using var loader = Loader(new Probes(50), workers: 0, depth: 1);
        return [.. Enumerable.Range(0, steps).Select(_ => loader.Next())];
    }

    private static long[] Take(BatchLoader<Probe> loader)
    {
        using var batch = loader.Next();
        return batch.Indices;
    }

    private static BatchLoader<Probe> Loader(Probes data, int workers, int depth, long firstStep = 0)
        => new(data, BatchSize, Seed, new LoaderOptions { Workers = workers, PrefetchFactor = depth, FirstStep = firstStep });
}
