using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class GuidanceTests
{
    private const long None = 9;
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();
    private static readonly double[] _x = [0.3, -1.2, 0.7, 2.0, -0.4, 0.9];

    [Fact]
    public void Scale_1_is_the_conditional_network_and_scale_0_the_unconditional_one_each_with_one_call()
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        using var condition = Condition.OfLabels([1, 2]);
        foreach (var (scale, label) in new[] { (1.0, 1L), (0.0, None) })
        {
            var network = Labelled();
            using var answer = ClassifierFree(network, scale).Predict(x, t, condition);
            using var told = label == None ? Condition.OfLabels([None, None]) : Condition.OfLabels([1, 2]);
            using var expected = Labelled().Predict(x, t, told);

            answer.ShouldBeIdentical(expected, $"scale {scale}");
            network.Calls.Should().Be(1);
        }
    }

    [Theory]
    [InlineData(-1.0)]
    [InlineData(0.5)]
    [InlineData(3.0)]
    [InlineData(7.5)]
    public void Guidance_goes_from_the_unconditional_answer_by_scale_times_the_difference(double scale)
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        using var condition = Condition.OfLabels([1, 2]);
        using var none = Condition.OfLabels([None, None]);
        using var strong = Labelled().Predict(x, t, condition);
        using var weak = Labelled().Predict(x, t, none);

        using var answer = ClassifierFree(Labelled(), scale).Predict(x, t, condition);

        var (a, s, w) = (answer.Values(), strong.Values(), weak.Values());
        for (var i = 0; i < a.Length; i++)
            a[i].Should().BeApproximately(w[i] + (scale * (s[i] - w[i])), 1e-12);
    }

    [Fact]
    public void Rescaled_guidance_has_the_standard_deviation_of_the_conditional_answer()
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        using var condition = Condition.OfLabels([1, 2]);
        using var strong = Labelled().Predict(x, t, condition);
        using var plain = ClassifierFree(Labelled(), 4.0).Predict(x, t, condition);
        using var whole = ClassifierFree(Labelled(), 4.0, new() { Rescale = 1.0 }).Predict(x, t, condition);
        using var half = ClassifierFree(Labelled(), 4.0, new() { Rescale = 0.5 }).Predict(x, t, condition);

        for (var row = 0; row < 2; row++)
        {
            Deviation(whole, row).Should().BeApproximately(Deviation(strong, row), 1e-12);
            Deviation(plain, row).Should().NotBeApproximately(Deviation(strong, row), 0.1);
        }

        var (p, w, h) = (plain.Values(), whole.Values(), half.Values());
        for (var i = 0; i < p.Length; i++)
            h[i].Should().BeApproximately(0.5 * (p[i] + w[i]), 1e-12);
    }

    [Fact]
    public void Outside_its_interval_guidance_leaves_the_conditional_network_alone_and_saves_the_other_call()
    {
        using var x = Samples();
        using var condition = Condition.OfLabels([1, 2]);
        var options = new GuidanceOptions { MinTime = 3, MaxTime = 6 };
        foreach (var time in new long[] { 2, 3, 6, 7 })
        {
            var network = Labelled();
            using var t = tensor(new[] { time, time });
            using var answer = ClassifierFree(network, 4.0, options).Predict(x, t, condition);
            using var expected = time is 3 or 6
                ? ClassifierFree(Labelled(), 4.0).Predict(x, t, condition)
                : Labelled().Predict(x, t, condition);
            answer.ShouldBeIdentical(expected, $"time {time}");
            network.Calls.Should().Be(time is 3 or 6 ? 2 : 1);
        }

        using var mixed = tensor(new long[] { 2, 5 });
        using var both = ClassifierFree(Labelled(), 4.0, options).Predict(x, mixed, condition);
        using var guided = ClassifierFree(Labelled(), 4.0).Predict(x, mixed, condition);
        using var alone = Labelled().Predict(x, mixed, condition);
        both.Values()[..3].Should().Equal(alone.Values()[..3]);
        both.Values()[3..].Should().Equal(guided.Values()[3..]);
    }

    [Fact]
    public void Zero_star_scales_the_unconditional_answer_to_its_projection_and_is_zero_above_its_time()
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        using var condition = Condition.OfLabels([1, 2]);
        using var none = Condition.OfLabels([None, None]);
        using var strong = Labelled().Predict(x, t, condition);
        using var weak = Labelled().Predict(x, t, none);
        var (s, w) = (strong.Values(), weak.Values());

        using var answer = ClassifierFree(Labelled(), 3.0, new() { ZeroStar = true }).Predict(x, t, condition);
        using var zero = ClassifierFree(Labelled(), 3.0, new() { ZeroStar = true, ZeroAbove = 4 }).Predict(x, t, condition);

        zero.Values().Should().AllBeEquivalentTo(0.0);
        var a = answer.Values();
        for (var row = 0; row < 2; row++)
        {
            var (dot, square) = (0.0, 0.0);
            for (var i = 3 * row; i < (3 * row) + 3; i++)
                (dot, square) = (dot + (s[i] * w[i]), square + (w[i] * w[i]));
            for (var i = 3 * row; i < (3 * row) + 3; i++)
            {
                var scaled = dot / square * w[i];
                a[i].Should().BeApproximately(scaled + (3.0 * (s[i] - scaled)), 1e-12);
            }
        }
    }

    /// <summary>The prediction is that of networks without variance channels; the variance is the strong network's, bit for bit.</summary>
    [Theory]
    [InlineData("plain")]
    [InlineData("rescaled")]
    [InlineData("zero star")]
    [InlineData("some samples guided")]
    [InlineData("zero above")]
    public void What_the_strong_network_says_about_the_variance_is_left_as_it_is(string refinement)
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 9 });
        GuidanceOptions options = refinement switch
        {
            "rescaled" => new() { Rescale = 0.7 },
            "zero star" => new() { ZeroStar = true },
            "some samples guided" => new() { MaxTime = 6 },
            "zero above" => new() { ZeroAbove = 6 },
            _ => new(),
        };
        using var expected = new GuidedDenoiser(
            new FunctionDenoiser(v => v.sin()), new FunctionDenoiser(v => v.mul(0.3)), 4.0, options).Predict(x, t);

        using var answer = new GuidedDenoiser(
            new FunctionDenoiser(v => Both(v.sin(), v.mul(2.0))),
            new FunctionDenoiser(v => Both(v.mul(0.3), v.mul(-5.0))),
            4.0,
            options).Predict(x, t);

        using var prediction = answer.narrow(1, 0, 3);
        using var variance = answer.narrow(1, 3, 3);
        using var strong = x.mul(2.0);
        prediction.ShouldBeIdentical(expected, "the prediction");
        variance.ShouldBeIdentical(strong, "the variance");
    }

    [Fact]
    public void A_classifier_leads_the_prediction_and_leaves_the_variance()
    {
        var schedule = DiscreteSchedule.Linear();
        using var x = Samples();
        using var t = tensor(new long[] { 5, 900 });
        using var plain = new FunctionDenoiser(v => v.sin()).On(schedule);
        using var both = new FunctionDenoiser(v => Both(v.sin(), v.mul(2.0))).On(schedule, learnsVariance: true);
        using var expected = Guidance.Classifier(plain, LogProbability).Network.Predict(x, t);

        using var answer = Guidance.Classifier(both, LogProbability).Network.Predict(x, t);

        using var prediction = answer.narrow(1, 0, 3);
        using var variance = answer.narrow(1, 3, 3);
        using var said = x.mul(2.0);
        prediction.ShouldBeIdentical(expected, "the prediction");
        variance.ShouldBeIdentical(said, "the variance");

        static Tensor LogProbability(Tensor v, Tensor time, Condition? condition) => v.square().sum(1L).neg();
    }

    /// <summary>The definition, eps - scale sigma grad log p, where the network receives other timesteps than the times of the schedule.</summary>
    [Theory]
    [InlineData("respaced")]
    [InlineData("scaled")]
    [InlineData("shifted")]
    [InlineData("between indices")]
    [InlineData("not whole")]
    public void Classifier_guidance_uses_the_level_of_schedules_whose_timesteps_are_not_their_times(string name)
    {
        INoiseSchedule schedule = name switch
        {
            "respaced" => DiscreteSchedule.Linear(50, 2e-3, 0.3).Respaced([0, 9, 30, 44]),
            "between indices" => DiscreteSchedule.Linear(50, 2e-3, 0.3),
            "not whole" => DiscreteSchedule.FromTable([0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.9, 1.3]),
            "scaled" => new RectifiedFlowSchedule(timeScale: 1000),
            _ => new RectifiedFlowSchedule(timeScale: 1000, shift: TimestepShift.Static(3.0)),
        };
        var seen = new List<double>();
        using var model = new FunctionDenoiser(x => x.mul(0.3)).On(schedule);
        using var guided = Guidance.Classifier(model, LogProbability, 2.0);
        foreach (var time in schedule is DiscreteSchedule ? (double[])[1, 2.25, 3] : [schedule.MaxTime * 0.2, schedule.MaxTime * 0.7])
        {
            var level = schedule.LevelAt(time);
            using var x = tensor(_x).reshape(6, 1);

            using var plain = model.Predict(x, time, level);
            using var answer = guided.Predict(x, time, level);

            using var expected = plain.Epsilon.sub(x.mul(-2.0 * 2.0 * level.Sigma));
            answer.Epsilon.ShouldBeClose(expected, 1e-9, $"t = {time}");
            seen[^1].Should().Be(schedule.ModelTimestep(time), "the classifier receives what the network receives");
        }

        Tensor LogProbability(Tensor v, Tensor t, Condition? condition)
        {
            seen.Add(t.Values()[0]);
            return v.square().sum(1L).neg();
        }
    }

    /// <summary>
    /// Classes that are two Gaussians: the exact network of the mixture, guided with scale 1 by the exact classifier, is the exact network
    /// of the class, in every form of prediction.
    /// </summary>
    [Theory]
    [InlineData("epsilon")]
    [InlineData("data")]
    [InlineData("velocity")]
    [InlineData("previous mean")]
    public void The_exact_classifier_makes_the_exact_conditional_network(string name)
    {
        var prediction = Combinations.Predictions[name];
        var schedule = DiscreteSchedule.Linear(50, 2e-3, 0.3);
        double[] means = [-0.8, 0.9];
        const double Spread = 0.4;
        var mixture = new ExactDenoiser(schedule, Mixed, prediction);
        var conditional = new ExactDenoiser(schedule, ExactDenoiser.Gaussian(means[1], Spread), prediction);
        using var model = mixture.Model;
        var guided = Guidance.Classifier(model, LogProbability, 1.0).Network;
        foreach (var time in new long[] { 0, 7, 30, 49 })
        {
            using var x = tensor(_x).reshape(6, 1);
            using var t = full([6], time, dtype: ScalarType.Int64);
            using var answer = guided.Predict(x, t);
            using var expected = conditional.Predict(x, t);
            answer.ShouldBeClose(expected, 1e-9, $"t = {time}");
        }

        var off = Guidance.Classifier(model, LogProbability, 0.0).Network;
        using var given = tensor(_x).reshape(6, 1);
        using var five = full([6], 5L, dtype: ScalarType.Int64);
        using var unguided = off.Predict(given, five);
        using var plain = mixture.Predict(given, five);
        unguided.ShouldBeIdentical(plain, "scale 0");

        double Mixed(double x, NoiseLevel level)
        {
            var spread = Math.Pow(level.Alpha * Spread, 2) + Math.Pow(level.Sigma, 2);
            var odds = Math.Exp((Math.Pow(x - (level.Alpha * means[0]), 2) - Math.Pow(x - (level.Alpha * means[1]), 2)) / (2.0 * spread));
            var second = odds / (1.0 + odds);
            return ((1.0 - second) * ExactDenoiser.Gaussian(means[0], Spread)(x, level)) + (second * ExactDenoiser.Gaussian(means[1], Spread)(x, level));
        }

        Tensor LogProbability(Tensor x, Tensor t, Condition? condition)
        {
            var level = schedule.LevelAt(t.Values()[0]);
            var spread = Math.Pow(level.Alpha * Spread, 2) + Math.Pow(level.Sigma, 2);
            var first = x.sub(level.Alpha * means[0]).square().div(-2.0 * spread);
            var second = x.sub(level.Alpha * means[1]).square().div(-2.0 * spread);
            return second.sub(first).sigmoid().log().reshape(x.shape[0]);
        }
    }

    /// <summary>A prediction without deviation, as that of a network before its first step, or of samples with one value.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    public void Rescaling_a_flat_prediction_leaves_it_unchanged(int size)
    {
        using var scope = NewDisposeScope();
        using var condition = Condition.OfLabels([1, 2]);
        var (x, t) = (ones([2, size]), tensor(new long[] { 5, 5 }));
        foreach (var value in (double[])[0.0, 0.5])
        {
            var network = new FunctionDenoiser(v => v.mul(value));

            var output = ClassifierFree(network, 2.0, new() { Rescale = 0.7, ZeroStar = value == 0.0 }).Predict(x, t, condition);

            output.ShouldBeClose(x.mul(value), 1e-6, $"size {size}, value {value}");
        }
    }

    [Fact]
    public void Autoguidance_leads_away_from_the_worse_network()
    {
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        using var model = new FunctionDenoiser(v => v.mul(2.0)).On(_schedule);
        using var answer = Guidance.Auto(model, new FunctionDenoiser(v => v.mul(1.5)), 3.0).Network.Predict(x, t);
        using var expected = x.mul(1.5 + (3.0 * 0.5));
        answer.ShouldBeClose(expected, 1e-12, "2x led away from 1.5x");
    }

    [Fact]
    public void Guidance_opens_and_closes_inference_and_leaves_no_tensor_behind()
    {
        var (strong, weak) = (Labelled(), Labelled());
        var guided = new GuidedDenoiser(strong, weak, 3.0, new() { Rescale = 0.7, ZeroStar = true, MinTime = 2, ZeroAbove = 900 });
        using var model = new DiffusionModel(guided, _schedule) { DataRange = DataRange.Images };
        using var condition = Condition.OfLabels([1, 2]);
        var sampler = new DdimSampler(5);
        LiveTensors.Change(() =>
        {
            using var sample = sampler.Sample(model, [2, 3], 0, condition, cancellationToken: TestContext.Current.CancellationToken);
        }).Should().Be(0);
        (strong.Begun, strong.Ended, weak.Begun, weak.Ended).Should().Be((1, 1, 1, 1));
        strong.Misused.Should().BeFalse();
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        var network = new FunctionDenoiser(v => v.mul(0.5));
        using var x = Samples();
        using var t = tensor(new long[] { 5, 5 });
        ((Action)(() => ClassifierFree(network, double.NaN))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => ClassifierFree(network, 2.0, new() { Rescale = 1.5 }))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => ClassifierFree(network, 2.0, new() { MinTime = 5, MaxTime = 4 }))).Should().Throw<ArgumentException>();
        ((Action)(() => ClassifierFree(network, 2.0).Predict(x, t))).Should().Throw<ArgumentException>().WithMessage("*labels*");
        using var scaled = network.On(_schedule, Prediction.Edm());
        ((Action)(() => Guidance.Classifier(scaled, (v, _, _) => v, 1.0))).Should().Throw<ArgumentException>();
        using var model = network.On(_schedule);
        var guided = Guidance.Classifier(model, (v, _, _) => v.sum()).Network;
        using var condition = Condition.OfLabels([1, 2]);
        ((Action)(() => guided.Predict(x, t, condition))).Should().Throw<ArgumentException>().WithMessage("*log-probabilities*[2]*");
        var respaced = Guidance.Classifier(network.On(_schedule.Respaced([2, 4])), (v, _, _) => v.sum(1L)).Network;
        ((Action)(() => respaced.Predict(x, t))).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*between 2 and 4*got 5*").WithParameterName("t");
    }

    /// <summary>The network of the guided model.</summary>
    private static IDenoiser ClassifierFree(FunctionDenoiser network, double scale, GuidanceOptions? options = null)
        => Guidance.ClassifierFree(network.On(_schedule), scale, None, options).Network;

    private static Tensor Samples() => tensor(_x).reshape(2, 3).clone();

    /// <summary>The answer of a network with variance channels.</summary>
    private static Tensor Both(Tensor prediction, Tensor variance)
    {
        using var first = prediction;
        using var second = variance;
        return cat([first, second], 1);
    }

    /// <summary>A network whose answer depends on x and on the label, not linearly.</summary>
    private static FunctionDenoiser Labelled() => new((x, _, condition) =>
    {
        using var scope = NewDisposeScope();
        var label = condition!.Labels!.to(x.dtype).unsqueeze(1);
        return x.mul(label.mul(0.1).add(1.0)).add(x.mul(label).sin()).MoveToOuterDisposeScope();
    });

    private static double Deviation(Tensor values, int row)
    {
        var v = values.Values()[(3 * row)..((3 * row) + 3)];
        return Math.Sqrt(v.Select(value => Math.Pow(value - v.Average(), 2)).Average());
    }
}
