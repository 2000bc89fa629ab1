namespace Diffusion.Core.Tests;

public class DataOrderTests
{
    [Theory]
    [InlineData(10, 5)]
    [InlineData(10, 3)]
    [InlineData(7, 16)]
    [InlineData(1, 4)]
    public void Every_epoch_sees_each_sample_once_and_every_batch_is_full(long count, int batchSize)
    {
        var seen = Take(new DataOrder(3, count, batchSize), 0, steps: 60, batchSize);

        for (var epoch = 0; epoch < seen.Length / count; epoch++)
            seen.AsSpan((int)(epoch * count), (int)count).ToArray().Should().BeEquivalentTo(Enumerable.Range(0, (int)count).Select(i => (long)i));
    }

    [Fact]
    public void Epochs_differ_and_so_do_seeds()
    {
        var first = Take(new DataOrder(3, 100, 100), 0, steps: 3, 100);
        var other = Take(new DataOrder(4, 100, 100), 0, steps: 1, 100);

        first[..100].Should().NotEqual(first[100..200]).And.NotEqual(other);
        first[100..200].Should().NotEqual(first[200..]);
    }

    [Fact]
    public void The_order_is_a_function_of_the_step_alone()
    {
        var through = Take(new DataOrder(5, 11, 4), 0, steps: 40, 4);
        var order = new DataOrder(5, 11, 4);
        foreach (var step in (int[])[39, 0, 17, 18, 2, 2])
            Take(order, step, steps: 1, 4).Should().Equal(through[(4 * step)..(4 * (step + 1))]);
    }

    [Fact]
    public void Every_place_is_as_likely_for_every_sample()
    {
        // Pearson's statistic over 5 x 5 cells of 4000 shuffles: 16 degrees of freedom, 99.99 % quantile 44.
        const int Shuffles = 4000;
        var counts = new int[5, 5];
        var all = Take(new DataOrder(0, 5, 5), 0, Shuffles, 5);
        for (var i = 0; i < all.Length; i++)
            counts[i % 5, all[i]]++;

        counts.Cast<int>().Sum(n => (n - (Shuffles / 5.0)) * (n - (Shuffles / 5.0)) / (Shuffles / 5.0)).Should().BeLessThan(44);
    }

    [Fact]
    public void The_order_of_a_seed_equals_that_of_another_implementation()
        => Take(new DataOrder(0, 10, 10), 0, steps: 1, 10).Should().Equal(1, 0, 4, 6, 9, 3, 2, 8, 5, 7);

    private static long[] Take(DataOrder order, int first, int steps, int batchSize)
    {
        var result = new long[steps * batchSize];
        for (var i = 0; i < steps; i++)
            order.Fill(first + i, result.AsSpan(i * batchSize, batchSize));
        return result;
    }
}
