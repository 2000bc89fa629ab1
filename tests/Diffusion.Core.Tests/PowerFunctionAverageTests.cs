using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class PowerFunctionAverageTests
{
    [Theory]
    [InlineData(0.05, 16.9722)]
    [InlineData(0.10, 6.9372)]
    [InlineData(0.15, 3.5579)]
    public void The_width_has_the_published_power(double deviation, double gamma)
        => new PowerFunctionDecay(deviation).Gamma.Should().BeApproximately(gamma, 5e-5);

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.10)]
    [InlineData(0.25)]
    public void The_steps_in_an_average_have_the_width_that_was_asked_for(double deviation)
    {
        const int Steps = 20_000;
        var weights = Profile(new PowerFunctionDecay(deviation), Steps);

        weights.Sum().Should().BeApproximately(1.0, 1e-9);
        var mean = weights.Select((w, i) => w * (i + 0.5)).Sum();
        var variance = weights.Select((w, i) => w * (i + 0.5 - mean) * (i + 0.5 - mean)).Sum();
        (Math.Sqrt(variance) / Steps).Should().BeApproximately(deviation, 1e-6);
    }

    [Theory]
    [InlineData(0.05, 4000, 0.10, 4000)]
    [InlineData(0.05, 2000, 0.10, 4000)]
    [InlineData(0.10, 4000, 0.07, 1500)]
    public void The_overlap_of_profiles_equals_their_sum_of_products(double first, int firstStep, double second, int secondStep)
    {
        var (a, b) = (new PowerFunctionDecay(first), new PowerFunctionDecay(second));
        var expected = Profile(a, firstStep).Zip(Profile(b, secondStep)).Sum(pair => pair.First * pair.Second);

        a.Overlap(firstStep, b, secondStep).Should().BeApproximately(expected, 1e-4 * expected);
        b.Overlap(secondStep, a, firstStep).Should().BeApproximately(a.Overlap(firstStep, b, secondStep), 1e-15);
    }

    [Fact]
    public void A_profile_that_is_stored_is_given_back_alone()
    {
        var stored = Grid(0.05, 0.10);

        var shares = PostHocEma.Solve(stored, stored[^2]);

        for (var i = 0; i < shares.Count; i++)
            shares[i].Should().BeApproximately(i == shares.Count - 2 ? 1.0 : 0.0, 1e-8);
    }

    [Theory]
    [InlineData(0.07, 0.01)]
    [InlineData(0.12, 0.02)]
    public void A_profile_that_is_not_stored_is_fitted(double deviation, double tolerance)
    {
        var (stored, wanted) = (Grid(0.05, 0.10), new PowerFunctionDecay(deviation));
        var shares = PostHocEma.Solve(stored, (wanted, 1000));

        var expected = Profile(wanted, 1000);
        var actual = new double[1000];
        foreach (var ((decay, step), share) in stored.Zip(shares))
        {
            var profile = Profile(decay, step);
            for (var i = 0; i < step; i++)
                actual[i] += share * profile[i];
        }

        var error = Math.Sqrt(actual.Zip(expected).Sum(p => Math.Pow(p.First - p.Second, 2)) / expected.Sum(p => p * p));
        error.Should().BeLessThan(tolerance);
    }

    [Fact]
    public void An_average_made_afterwards_is_the_one_that_was_tracked()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var snapshots = folder.File("averages");
        Train(model, snapshots, 400, out var tracked);

        Distance(PostHocEma.Reconstruct(snapshots, 0.05), tracked["narrow"]).Should().BeLessThan(1e-5);
        Distance(PostHocEma.Reconstruct(snapshots, 0.10), tracked["wide"]).Should().BeLessThan(1e-5);
        Distance(PostHocEma.Reconstruct(snapshots, 0.07), tracked["between"]).Should().BeLessThan(1e-3);
        Distance(tracked["wide"], tracked["between"]).Should().BeGreaterThan(1e-2, "it is not the same as its neighbours");

        var path = folder.File("made.safetensors");
        PostHocEma.Save(path, snapshots, 0.07);
        var saved = Safetensors.Load(path);
        var made = PostHocEma.Reconstruct(snapshots, 0.07);
        saved.ToDictionary(p => p.Key, p => Bits.Of(p.Value)).Should().Equal(made.ToDictionary(p => p.Key, p => Bits.Of(p.Value)));
        using var other = new TinyDenoiser(seed: 9);
        PostHocEma.Load(other, snapshots, 0.07);
        other.state_dict().ToDictionary(p => p.Key, p => Bits.Of(p.Value)).Should().Equal(made.ToDictionary(p => p.Key, p => Bits.Of(p.Value)));
    }

    [Fact]
    public void Two_averages_of_one_width_count_as_one()
    {
        using var folder = new TemporaryFolder();
        foreach (var names in (string[][])[["one"], ["one", "two"]])
        {
            using var model = new TinyDenoiser();
            using var trainer = Runs.Trainer(model, Runs.Options with
            {
                Ema = EmaDecay.PowerFunction(0.1),
                ExtraEmas = names.ToDictionary(name => name, _ => (EmaDecay)EmaDecay.PowerFunction(0.05)),
                Callbacks = [new EmaSnapshots(folder.File($"{names.Length}"), 5)],
            });
            trainer.Run(new Points(50));
        }

        var expected = PostHocEma.Reconstruct(folder.File("1"), 0.07);
        var actual = PostHocEma.Reconstruct(folder.File("2"), 0.07);

        actual.ToDictionary(p => p.Key, p => Bits.Of(p.Value)).Should().Equal(expected.ToDictionary(p => p.Key, p => Bits.Of(p.Value)));
    }

    [Fact]
    public void A_resumed_run_writes_the_same_snapshots()
    {
        using var folder = new TemporaryFolder();
        using (var whole = new TinyDenoiser())
            Train(whole, folder.File("whole"), 100, out _);
        using (var first = new TinyDenoiser())
            Train(first, folder.File("parts"), 50, out _, checkpoint: folder.File("run"));
        using (var second = new TinyDenoiser(seed: 9))
            Train(second, folder.File("parts"), 100, out _, checkpoint: folder.File("run"));

        Bits.OfFolder(folder.File("parts")).Should().Equal(Bits.OfFolder(folder.File("whole"))).And.HaveCount(10);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_cannot_be_done_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var options = Runs.Options with { Callbacks = [new EmaSnapshots(folder.Path, 5)] };
        using var trainer = Runs.Trainer(model, options);

        FluentActions.Invoking(() => trainer.Run(new Points(50)))
            .Should().Throw<TrainerCallbackException>().WithInnerException<InvalidOperationException>().WithMessage("*PowerFunction*");
        FluentActions.Invoking(() => PostHocEma.Reconstruct(folder.Path, 0.1)).Should().Throw<InvalidDataException>().WithMessage("*it has none*");
        FluentActions.Invoking(() => new PowerFunctionDecay(0.3)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => EmaDecay.PowerFunction(double.NaN)).Should().Throw<ArgumentOutOfRangeException>();
        using var weights = ones(2);
        Safetensors.Save(folder.File("step-00000001-x.safetensors"), new Dictionary<string, Tensor> { ["x"] = weights });
        FluentActions.Invoking(() => PostHocEma.Reconstruct(folder.Path, 0.1)).Should().Throw<InvalidDataException>().WithMessage("*relative_standard*");
    }

    private static (PowerFunctionDecay Decay, long Step)[] Grid(params double[] deviations)
        => [.. Enumerable.Range(1, 10).SelectMany(k => deviations.Select(d => (new PowerFunctionDecay(d), 100L * k)))];

    /// <summary>By how much the weights of each step enter, from the recursion itself.</summary>
    private static double[] Profile(PowerFunctionDecay decay, long steps)
    {
        var (weights, kept) = (new double[steps], 1.0);
        for (var step = steps; step >= 1; step--)
        {
            weights[step - 1] = kept * (1.0 - decay.At(step));
            kept *= decay.At(step);
        }

        return weights;
    }

    private static void Train(
        TinyDenoiser model, string snapshots, long steps, out Dictionary<string, Dictionary<string, Tensor>> averages, string? checkpoint = null)
    {
        var options = Runs.Options with
        {
            Steps = steps,
            CheckpointFolder = checkpoint,
            CheckpointEvery = 50,
            Ema = EmaDecay.PowerFunction(0.05),
            ExtraEmas = new Dictionary<string, EmaDecay>
            {
                ["wide"] = EmaDecay.PowerFunction(0.10),
                ["between"] = new Tracked(new PowerFunctionDecay(0.07)),
            },
            Callbacks = [new EmaSnapshots(snapshots, Math.Max(20, steps / 20))],
        };
        using var trainer = Runs.Trainer(model, options);
        trainer.Run(new Points(50));
        averages = [];
        foreach (var (name, average) in (KeyValuePair<string, string>[])[new("narrow", "ema"), new("wide", "wide"), new("between", "between")])
        {
            using var use = trainer.UseEma(average);
            averages[name] = model.state_dict().ToDictionary(p => p.Key, p => p.Value.detach().clone());
        }
    }

    /// <summary>The largest difference of all weights, relative to the largest weight.</summary>
    private static double Distance(Dictionary<string, Tensor> first, Dictionary<string, Tensor> second)
    {
        var scale = second.Values.Max(t => t.abs().max().to(ScalarType.Float64).item<double>());
        return first.Max(p => p.Value.sub(second[p.Key]).abs().max().to(ScalarType.Float64).item<double>()) / scale;
    }

    /// <summary>Hides that it could be stored.</summary>
    private sealed class Tracked(EmaDecay decay) : EmaDecay
    {
        public override double At(long step) => decay.At(step);
    }
}
