using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class PointDatasetTests
{
    private const int Count = 100_000;

    public static TheoryData<string> Names => ["gaussians", "moons", "roll", "board"];

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_set_has_mean_zero_and_mean_variance_one(string name)
    {
        var points = Load(Make(name, 1), Count);

        var (x, y) = (points.Average(p => p.X), points.Average(p => p.Y));
        var variance = points.Average(p => (Math.Pow(p.X - x, 2) + Math.Pow(p.Y - y, 2)) / 2);

        // Five standard errors: the deviation of an axis is below 1.3, that of the square below 1.5.
        x.Should().BeApproximately(0.0, 5 * 1.3 / Math.Sqrt(Count));
        y.Should().BeApproximately(0.0, 5 * 1.3 / Math.Sqrt(Count));
        variance.Should().BeApproximately(1.0, 5 * 1.5 / Math.Sqrt(Count));
    }

    [Fact]
    public void The_gaussians_have_eight_equal_modes_of_the_given_width()
    {
        var data = PointDataset.EightGaussians(seed: 2);
        data.Scale.Should().BeApproximately(Math.Sqrt((0.02 * 0.02) + 2), 1e-15);
        var modes = Load(data, Count).Select(p => (X: p.X * data.Scale, Y: p.Y * data.Scale))
            .GroupBy(p => (int)Math.Round((Math.Atan2(p.Y, p.X) / (Math.PI / 4)) + 8) % 8)
            .ToDictionary(group => group.Key, group => group.ToArray());

        modes.Should().HaveCount(8);
        foreach (var (k, points) in modes)
        {
            // Binomial(n, 1/8): five deviations.
            ((double)points.Length / Count).Should().BeApproximately(0.125, 5 * Math.Sqrt(0.125 * 0.875 / Count));
            var error = 5 * 0.02 / Math.Sqrt(points.Length);
            points.Average(p => p.X).Should().BeApproximately(2 * Math.Cos(k * Math.PI / 4), error);
            points.Average(p => p.Y).Should().BeApproximately(2 * Math.Sin(k * Math.PI / 4), error);
            var square = points.Average(p => Math.Pow(p.X - (2 * Math.Cos(k * Math.PI / 4)), 2) + Math.Pow(p.Y - (2 * Math.Sin(k * Math.PI / 4)), 2));
            Math.Sqrt(square / 2).Should().BeApproximately(0.02, 5 * 0.02 / Math.Sqrt(4.0 * points.Length));
        }
    }

    [Fact]
    public void Without_noise_every_point_lies_on_a_moon()
    {
        var points = Raw(PointDataset.TwoMoons(seed: 3, noise: 0), Count);

        var upper = points.Count(p => p.Y >= -1e-6 && Math.Abs(Math.Sqrt((p.X * p.X) + (p.Y * p.Y)) - 1) < 1e-6);
        var lower = points.Count(p => p.Y <= 0.5 + 1e-6 && Math.Abs(Math.Sqrt(Math.Pow(p.X - 1, 2) + Math.Pow(p.Y - 0.5, 2)) - 1) < 1e-6);

        // The two half circles cross nowhere, so every point is counted once.
        (upper + lower).Should().Be(Count);
        ((double)upper / Count).Should().BeApproximately(0.5, 5 * 0.5 / Math.Sqrt(Count));
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.05)]
    [InlineData(0.3)]
    public void The_moments_of_the_moons_are_the_exact_ones(double noise)
    {
        var points = Raw(PointDataset.TwoMoons(seed: 4, noise: noise), Count);

        points.Average(p => Math.Pow(p.X - 0.5, 2)).Should().BeApproximately(0.75 + (noise * noise), 0.01);
        points.Average(p => Math.Pow(p.Y - 0.25, 2)).Should().BeApproximately(0.5625 - (1 / Math.PI) + (noise * noise), 0.004);
    }

    [Fact]
    public void Without_noise_every_point_lies_on_the_spiral()
    {
        var points = Raw(PointDataset.SwissRoll(seed: 5, noise: 0), Count);

        foreach (var (x, y) in points)
        {
            var radius = Math.Sqrt((x * x) + (y * y));
            radius.Should().BeInRange((1.5 * Math.PI) - 1e-4, (4.5 * Math.PI) + 1e-4);
            x.Should().BeApproximately(radius * Math.Cos(radius), 1e-4);
            y.Should().BeApproximately(radius * Math.Sin(radius), 1e-4);
        }

        // The radius is the angle, uniform: mean 3 pi, variance (3 pi)^2 / 12.
        var angles = points.Select(p => Math.Sqrt((p.X * p.X) + (p.Y * p.Y))).ToArray();
        angles.Average().Should().BeApproximately(3 * Math.PI, 5 * 3 * Math.PI / Math.Sqrt(12.0 * Count));
        angles.Average(a => Math.Pow(a - (3 * Math.PI), 2)).Should().BeApproximately(0.75 * Math.PI * Math.PI, 0.08);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public void The_moments_of_the_roll_are_the_exact_ones(double noise)
    {
        var points = Raw(PointDataset.SwissRoll(seed: 6, noise: noise), Count);

        points.Average(p => p.X).Should().BeApproximately(2.0, 0.08);
        points.Average(p => p.Y).Should().BeApproximately(2 / (3 * Math.PI), 0.08);
        points.Average(p => (p.X * p.X) + (p.Y * p.Y)).Should().BeApproximately((9.75 * Math.PI * Math.PI) + (2 * noise * noise), 0.7);
    }

    [Fact]
    public void The_board_fills_its_dark_squares_evenly()
    {
        var squares = Raw(PointDataset.Checkerboard(seed: 7), Count)
            .GroupBy(p => ((int)Math.Floor(p.X) + 2, (int)Math.Floor(p.Y) + 2))
            .ToDictionary(group => group.Key, group => group.ToArray());

        squares.Keys.Should().BeEquivalentTo([(0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2), (3, 1), (3, 3)]);
        foreach (var points in squares.Values)
        {
            ((double)points.Length / Count).Should().BeApproximately(0.125, 5 * Math.Sqrt(0.125 * 0.875 / Count));
            var error = 5 / Math.Sqrt(12.0 * points.Length);
            points.Average(p => p.X - Math.Floor(p.X)).Should().BeApproximately(0.5, error);
            points.Average(p => p.Y - Math.Floor(p.Y)).Should().BeApproximately(0.5, error);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_point_depends_on_seed_and_index_alone(string name)
    {
        using var together = Make(name, 1).Load([5, 99_999, 5]);
        using var alone = Make(name, 1).Load([99_999]);
        using var other = Make(name, 2).Load([99_999]);

        var values = together.Samples.data<float>().ToArray();
        together.Condition.Should().BeNull();
        values[..2].Should().Equal(values[4..]);
        values[2..4].Should().Equal(alone.Samples.data<float>().ToArray());
        values[2..4].Should().NotEqual(other.Samples.data<float>().ToArray());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Loading_leaves_no_tensors(string name)
    {
        var data = Make(name, 1);

        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 100; i++)
                data.Load([i, 2 * i]).Dispose();
        }).Should().Be(0);
    }

    [Theory]
    [MemberData(nameof(Names))]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_outside_is_refused(string name)
    {
        var load = () => Make(name, 1).Load([100_000]);

        load.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*0..99999*100000*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Noise_that_is_no_deviation_is_refused()
    {
        Action[] makes = [() => _ = PointDataset.TwoMoons(noise: -1), () => _ = PointDataset.SwissRoll(noise: double.NaN), () => _ = PointDataset.EightGaussians(count: 0)];

        makes.Should().AllSatisfy(make => make.Should().Throw<ArgumentOutOfRangeException>());
    }

    private static PointDataset Make(string name, long seed) => name switch
    {
        "gaussians" => PointDataset.EightGaussians(seed),
        "moons" => PointDataset.TwoMoons(seed),
        "roll" => PointDataset.SwissRoll(seed),
        _ => PointDataset.Checkerboard(seed),
    };

    private static (double X, double Y)[] Load(PointDataset data, int count)
    {
        using var batch = data.Load([.. Enumerable.Range(0, count).Select(i => (long)i)]);
        batch.Samples.shape.Should().Equal(count, 2);
        return [.. batch.Samples.data<float>().ToArray().Chunk(2).Select(pair => ((double)pair[0], (double)pair[1]))];
    }

    private static (double X, double Y)[] Raw(PointDataset data, int count)
        => [.. Load(data, count).Select(p => ((p.X * data.Scale) + data.Centre.X, (p.Y * data.Scale) + data.Centre.Y))];
}
