using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class ReproducibilityTests
{
    // An odd number of elements, so that samples lie differently on the vector units in different batches.
    private static readonly long[] _size = [1, 41, 37];

    public static MatrixTheoryData<string, string> Combined => new(Combinations.Solvers.Keys, Combinations.Thresholds.Keys);

    [Theory]
    [MemberData(nameof(Combined))]
    public void The_same_call_gives_the_same_bits(string solver, string threshold)
    {
        var sampler = Sampler(solver, threshold);
        using var first = Sample(sampler, 5, 0);
        using var second = Sample(sampler, 5, 0);
        using var other = Sample(Sampler(solver, threshold), 5, 0);

        second.ShouldBeIdentical(first, "the second call");
        other.ShouldBeIdentical(first, "another sampler");
    }

    [Theory]
    [MemberData(nameof(Combined))]
    public void A_sample_alone_is_the_sample_of_the_batch(string solver, string threshold)
    {
        var sampler = Sampler(solver, threshold);
        using var batch = Sample(sampler, 5, 0);
        for (var k = 0; k < 5; k++)
        {
            using var alone = Sample(sampler, 1, k);
            using var expected = batch.narrow(0, k, 1);
            alone.ShouldBeIdentical(expected, $"sample {k}");
        }

        using var rest = Sample(sampler, 3, 2);
        using var last = batch.narrow(0, 2, 3);
        rest.ShouldBeIdentical(last, "samples 2 to 4");
    }

    [Fact]
    public void Another_seed_or_another_index_is_another_sample()
    {
        var sampler = Sampler("ddim, eta 0", "none");
        using var first = Sample(sampler, 2, 0);
        using var seeded = Sample(sampler, 2, 0, seed: 12);
        var values = first.Values().Concat(seeded.Values()).Chunk(41 * 37).ToArray();

        for (var i = 0; i < values.Length; i++)
        {
            for (var j = 0; j < i; j++)
                values[i].Should().NotEqual(values[j]);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1e-5)]
    [InlineData(ScalarType.BFloat16, 6e-2)]
    public void Samples_in_another_precision_differ_by_rounding_only(ScalarType type, double error)
    {
        foreach (var solver in Combinations.Solvers.Keys)
        {
            var sampler = Sampler(solver, "static");
            using var narrow = Sample(sampler, 2, 0, dtype: type);
            using var wide = Sample(sampler, 2, 0, dtype: ScalarType.Float64);

            narrow.dtype.Should().Be(type);
            wide.dtype.Should().Be(ScalarType.Float64);
            narrow.ShouldBeClose(wide, error, solver);
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Gpu)]
    public void Samples_on_a_cuda_device_differ_by_rounding_only()
    {
        Assert.SkipUnless(cuda.is_available(), "There is no CUDA device.");
        foreach (var solver in Combinations.Solvers.Keys)
        {
            var sampler = Sampler(solver, "dynamic");
            using var host = Sample(sampler, 3, 0);
            using var device = Sample(sampler, 3, 0, device: CUDA);

            device.device_type.Should().Be(TorchSharp.DeviceType.CUDA);
            device.ShouldBeClose(host, 1e-4, solver);
        }
    }

    [Fact]
    public void The_noise_of_a_sample_depends_on_its_seed_and_index_alone_in_every_type()
    {
        using var source = new PerSampleNoise(seed: 7, count: 3, firstSample: 10);
        using var like = empty(3, 2, 5, dtype: ScalarType.Float32);
        using var wide = empty(3, 2, 5, dtype: ScalarType.Float64);
        using var first = source.Draw(like);
        using var second = source.Draw(wide);
        first.dtype.Should().Be(ScalarType.Float32);
        second.dtype.Should().Be(ScalarType.Float64);

        for (var i = 0; i < 3; i++)
        {
            using var generator = SeedSequence.Generator(CPU, 7, 10 + i);
            using var wideFirst = randn([2, 5], dtype: ScalarType.Float64, generator: generator);
            using var expectedFirst = wideFirst.to(ScalarType.Float32);
            using var expectedSecond = randn([2, 5], dtype: ScalarType.Float64, generator: generator);
            using var actualFirst = first.select(0, i);
            using var actualSecond = second.select(0, i);
            actualFirst.ShouldBeIdentical(expectedFirst, $"draw 0 of sample {i}");
            actualSecond.ShouldBeIdentical(expectedSecond, $"draw 1 of sample {i}");
        }
    }

    [Theory]
    [InlineData(40, new[] { -0.19572579052340688, -1.1190868782267982, 0.12081324701153583 })]
    [InlineData(3, new[] { 0.4144633003259791, -1.2629470018549382, -0.2386298952215171 })]
    public void The_noise_of_a_seed_is_the_same_in_every_version_of_libtorch(int size, double[] expected)
    {
        using var source = new PerSampleNoise(seed: 0, count: 2);
        using var like = empty(2, size, dtype: ScalarType.Float64);
        using var draw = source.Draw(like);
        using var second = draw.select(0, 1);

        second.Values()[^3..].Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-14);
    }

    [Fact]
    public void Noise_frees_everything_but_its_draws()
        => LiveTensors.Change(() =>
        {
            using var source = new PerSampleNoise(1, 4);
            using var like = empty(4, 3);
            using var draw = source.Draw(like);
        }).Should().Be(0);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Noise_of_other_samples_or_of_integers_is_refused()
    {
        foreach (var (count, first) in new[] { (0L, 0L), (-1L, 0L), (1L, -1L) })
        {
            var create = () => new PerSampleNoise(0, count, first);
            create.Should().Throw<ArgumentOutOfRangeException>();
        }

        using var source = new PerSampleNoise(0, 3);
        using var four = empty(4, 2);
        using var scalar = tensor(1.0);
        using var whole = empty(3, 2, dtype: ScalarType.Int64);
        foreach (var (like, message) in new[] { (four, "*3 samples*[4, 2]*"), (scalar, "*3 samples*[]*"), (whole, "*floating point*Int64*") })
        {
            var draw = () => source.Draw(like);
            draw.Should().Throw<ArgumentException>().WithMessage(message);
        }
    }

    private static DiffusionSampler Sampler(string solver, string threshold) => new(
        TimeSpacing.Trailing.CreateGrid(DiscreteSchedule.Linear(), 6),
        Combinations.Solvers[solver],
        new SamplerOptions { Threshold = Combinations.Thresholds[threshold] });

    private static Tensor Sample(DiffusionSampler sampler, long count, long first, long seed = 11, ScalarType dtype = ScalarType.Float32, Device? device = null)
        => sampler.Sample(
            new FunctionDenoiser(x => x.mul(0.7).add_(0.1)).On(sampler.Grid!.Schedule, Prediction.X0),
            new SamplingRequest { Shape = [count, .. _size], Seed = seed, FirstSample = first, Dtype = dtype, Device = device },
            cancellationToken: TestContext.Current.CancellationToken);
}
