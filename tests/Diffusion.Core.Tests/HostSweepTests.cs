using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>The passes over float32 buffers on the CPU, against the operators that every other buffer takes.</summary>
public class HostSweepTests
{
    // Several parts, of which the last is shorter.
    private const long Count = (5 << 16) + 1024;

    public static TheoryData<double, bool> Decays => new() { { 0.0, true }, { 0.1, true }, { 0.1, false } };

    [Theory]
    [MemberData(nameof(Decays))]
    public void Adam_in_one_pass_equals_its_operators_in_float64(double decay, bool isDecoupled)
    {
        using var scope = NewDisposeScope();
        var single = Run(ScalarType.Float32, decay, isDecoupled, threads: 2);
        var exact = Run(ScalarType.Float64, decay, isDecoupled, threads: 2);

        for (var k = 0; k < exact.Length; k++)
            single[k].ShouldBeClose(exact[k], 2e-6, $"tensor {k}");
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        using var scope = NewDisposeScope();
        var one = Run(ScalarType.Float32, 0.1, isDecoupled: true, threads: 1);
        foreach (var threads in (int[])[2, 3, 5])
        {
            var several = Run(ScalarType.Float32, 0.1, isDecoupled: true, threads);
            for (var k = 0; k < one.Length; k++)
                several[k].ShouldBeIdentical(one[k], $"tensor {k} of {threads} threads");
        }
    }

    [Fact]
    public void A_skipped_step_changes_nothing()
    {
        using var scope = NewDisposeScope();
        var layout = Layout(ScalarType.Float32);
        using var state = new AdamW { WeightDecay = 0.1 }.Start(layout);
        var (weights, gradients, average) = (ones([Count]), full([Count], 0.5), zeros([Count]));
        var before = weights.clone();

        state.Step(weights, gradients, 0.1, zeros([], ScalarType.Float64));
        FlatLayout.Blend(average, weights, zeros([], ScalarType.Float64));

        weights.ShouldBeIdentical(before, "weights");
        average.ShouldBeIdentical(zeros([Count]), "average");
        state.Tensors["step"].item<double>().Should().Be(0.0);
        state.Tensors["exp_avg"].ShouldBeIdentical(zeros([Count]), "moment");
    }

    private static Tensor[] Run(ScalarType dtype, double decay, bool isDecoupled, int threads)
    {
        var before = get_num_threads();
        set_num_threads(threads);
        try
        {
            using var generator = new Generator(4);
            Tensor Draw() => randn([Count], ScalarType.Float32, generator: generator).to(dtype);
            IOptimizer optimizer = isDecoupled ? new AdamW { WeightDecay = decay } : new Adam { WeightDecay = decay };
            using var state = optimizer.Start(Layout(dtype));
            var (weights, average, apply) = (Draw(), Draw(), ones([], ScalarType.Float64));
            for (var step = 0; step < 3; step++)
            {
                state.Step(weights, Draw(), 1e-2, apply);
                FlatLayout.Blend(average, weights, full([], 0.1, ScalarType.Float64));
            }

            return [weights, average, state.Tensors["exp_avg"].clone(), state.Tensors["exp_avg_sq"].clone()];
        }
        finally
        {
            set_num_threads(before);
        }
    }

    /// <summary>Three groups, one of which does not move.</summary>
    private static FlatLayout Layout(ScalarType dtype)
    {
        const long first = 3 << 16, second = 64;
        ParameterRange[] ranges =
        [
            new(0, first, 1.0, 1.0), new(first, second, 0.0, 1.0), new(first + second, Count - first - second, 0.5, 0.25),
        ];
        return new FlatLayout(Count, [], ranges, dtype, CPU);
    }
}
