using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SinusoidalEmbeddingTests
{
    [Theory]
    [InlineData(8, true, 0.0)]
    [InlineData(8, false, 1.0)]
    [InlineData(2, false, 0.0)]
    public void It_holds_the_sines_and_cosines_of_geometric_frequencies(int width, bool flip, double shift)
    {
        using var scope = NewDisposeScope();
        using var embedding = new SinusoidalEmbedding(width, shift) { FlipSinToCos = flip };
        long[] times = [0, 1, 417, 999];
        var half = width / 2;

        var actual = embedding.call(tensor(times));

        actual.shape.Should().Equal(4, width);
        actual.dtype.Should().Be(ScalarType.Float64);
        for (var b = 0; b < times.Length; b++)
        {
            for (var i = 0; i < half; i++)
            {
                var angle = times[b] * Math.Pow(10_000, -i / (half - shift));
                var row = actual[b];
                row[flip ? half + i : i].item<double>().Should().BeApproximately(Math.Sin(angle), 1e-12);
                row[flip ? i : half + i].item<double>().Should().BeApproximately(Math.Cos(angle), 1e-12);
            }
        }
    }

    [Fact]
    public void Times_may_be_floating_point_and_a_cast_module_stays_exact()
    {
        using var scope = NewDisposeScope();
        using var exact = new SinusoidalEmbedding(16);
        using var cast = new SinusoidalEmbedding(16).to(ScalarType.BFloat16);
        var expected = exact.call(tensor(new long[] { 3, 999 }));

        cast.call(tensor(new float[] { 3, 999 })).data<double>().ToArray().Should().Equal(expected.data<double>().ToArray());
        cast.call(tensor(new double[] { 3, 999 })).data<double>().ToArray().Should().Equal(expected.data<double>().ToArray());
    }

    [Fact]
    public void Whole_times_give_bit_for_bit_what_the_same_times_in_floating_point_give()
    {
        using var scope = NewDisposeScope();
        long[] all = [0, 1, 7, 999, 1023, 1024, 2047, 2048, 4095, 4096, 100_000, -1, -4096, int.MaxValue];
        foreach (var (width, flip, shift) in new[] { (2, true, 0.0), (10, false, 1.0), (64, true, 0.0) })
        {
            using var embedding = new SinusoidalEmbedding(width, shift) { FlipSinToCos = flip };

            // One at a time, small ones together, and small ones together with others.
            foreach (var times in all.Select(t => new[] { t }).Concat([all[..5], all[..9], all, [5, -5], [4096, 0]]))
            {
                var exact = embedding.call(tensor(times).to(ScalarType.Float64)).data<double>().ToArray();
                embedding.call(tensor(times)).data<double>().ToArray().Should().Equal(exact);
                embedding.call(tensor(times).to(ScalarType.Int32)).data<double>().ToArray().Should().Equal(exact);
            }
        }
    }

    [Fact]
    public void Times_may_lie_anywhere_in_memory_and_there_may_be_none()
    {
        using var scope = NewDisposeScope();
        using var embedding = new SinusoidalEmbedding(6);
        var times = arange(12, dtype: ScalarType.Int64).mul(83);
        foreach (var part in new[] { times.narrow(0, 5, 4), times.view(6, 2).select(1, 1), times[7].expand(3), times.flip(0) })
        {
            var exact = embedding.call(part.to(ScalarType.Float64)).data<double>().ToArray();
            embedding.call(part).data<double>().ToArray().Should().Equal(exact);
        }

        embedding.call(times.narrow(0, 3, 0)).shape.Should().Equal(0, 6);
    }

    [Fact]
    public void What_it_gives_is_the_callers_to_change()
    {
        using var scope = NewDisposeScope();
        using var embedding = new SinusoidalEmbedding(6);
        var times = tensor(new long[] { 4, 9 });
        var before = embedding.call(times).data<double>().ToArray();

        embedding.call(times).fill_(7);

        embedding.call(times).data<double>().ToArray().Should().Equal(before);
    }

    [Fact]
    public void Several_threads_may_ask_for_the_first_time_at_once()
    {
        for (var round = 0; round < 8; round++)
        {
            using var embedding = new SinusoidalEmbedding(32);
            var found = new double[4][];
            using var start = new Barrier(found.Length);
            var threads = Enumerable.Range(0, found.Length).Select(k => new Thread(() =>
            {
                start.SignalAndWait();
                using var scope = NewDisposeScope();
                found[k] = [.. Enumerable.Range(0, 20).SelectMany(i => embedding.call(tensor(new long[] { (i % 3) * 1500 })).data<double>().ToArray())];
            })).ToArray();
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());

            found.Should().OnlyContain(values => values.SequenceEqual(found[0]));
        }
    }

    [Fact]
    public void It_has_no_state_and_frees_its_frequencies()
    {
        LiveTensors.Change(() =>
        {
            using var embedding = new SinusoidalEmbedding(4);
            using var times = tensor(new long[] { 1 });
            using var result = embedding.call(times);
            embedding.state_dict().Should().BeEmpty();
        }).Should().Be(0);
    }

    [Fact]
    public void Widths_and_shapes_that_do_not_fit_are_refused()
    {
        using var embedding = new SinusoidalEmbedding(4);
        using var times = zeros(2, 1);

        FluentActions.Invoking(() => new SinusoidalEmbedding(5)).Should().Throw<ArgumentException>().WithMessage("*even*5*");
        FluentActions.Invoking(() => new SinusoidalEmbedding(0)).Should().Throw<ArgumentException>().WithMessage("*even*0*");
        FluentActions.Invoking(() => new SinusoidalEmbedding(4, frequencyShift: 2)).Should().Throw<ArgumentException>().WithMessage("*2*");
        FluentActions.Invoking(() => embedding.call(times)).Should().Throw<ArgumentException>().WithMessage("*[*]*[2, 1]*");
    }
}
