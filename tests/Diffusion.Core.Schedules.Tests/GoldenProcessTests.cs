using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

[Trait(Category.Name, Category.Golden)]
public sealed class GoldenProcessTests
{
    private const double Tolerance = 1e-6;

    public static TheoryData<string> Files => GoldenFile.Find("process", "process-*.safetensors");

    [Theory]
    [MemberData(nameof(Files))]
    public void Forward_process_equals_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var process = new DdpmProcess(OpenAiCase.Schedule(golden.Case));
        var x0 = golden.Read("x0");
        var t = golden.Read("t");
        var noise = golden.Read("noise");
        var none = noise.mul(0.0);
        var xt = golden.Read("x_t");

        var sample = process.Sample(x0, t, noise);
        RelativeError.OfSamples(sample, xt).Should().BeLessThan(Tolerance);

        var mean = process.Sample(x0, t, none);
        var expectedMean = golden.Read("q_mean");
        RelativeError.OfSamples(mean, expectedMean).Should().BeLessThan(Tolerance);

        using var sigmaSquared = new ScheduledValue(process.Discrete, (level, _) => level.Sigma * level.Sigma);
        var variance = sigmaSquared.At(t, x0);
        var expectedVariance = golden.ReadDouble("q_var");
        RelativeError.OfSamples(variance, expectedVariance).Should().BeLessThan(Tolerance);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Posterior_equals_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var process = new DdpmProcess(OpenAiCase.Schedule(golden.Case));
        var x0 = golden.Read("x0");
        var t = golden.Read("t");
        var xt = golden.Read("x_t");

        var mean = process.PosteriorMean(x0, xt, t);
        var expectedMean = golden.Read("post_mean");
        RelativeError.OfSamples(mean, expectedMean).Should().BeLessThan(Tolerance);

        var variance = process.PosteriorVariance(t, x0);
        var expectedVariance = golden.ReadDouble("post_var");
        RelativeError.OfSamples(variance, expectedVariance).Should().BeLessThan(Tolerance);

        var logVariance = process.PosteriorLogVariance(t, x0);
        var expectedLogVariance = golden.ReadDouble("post_logvar");
        RelativeError.OfSamples(logVariance, expectedLogVariance).Should().BeLessThan(Tolerance);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Reverse_process_equals_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        var (schedule, prediction) = (OpenAiCase.Schedule(golden.Case), OpenAiCase.Mean(golden.Case));
        using var process = new ReverseProcess(schedule, prediction, OpenAiCase.Variance(golden.Case))
        {
            Clip = golden.Case.GetProperty("clip").GetBoolean(),
        };
        var t = golden.Read("t");
        var xt = golden.Read("x_t");
        var output = golden.Read("model_out");

        using var result = process.Transition(xt, t, output);

        // The reference casts its coefficients to single precision. Where large terms cancel, its error is relative to them.
        using var dataTerms = new ScheduledPair(schedule, (level, previous) => Magnitude(prediction.ToX0(level, previous)));
        using var meanTerms = new ScheduledPair(schedule, schedule.PosteriorMeanCoefficient1, schedule.PosteriorMeanCoefficient2);
        var xtScale = xt.abs();
        var outputScale = output.narrow(1, 0, xt.shape[1]).abs();
        var dataScale = dataTerms.Apply(t, xtScale, outputScale);
        var meanScale = meanTerms.Apply(t, dataScale, xtScale);

        var expectedData = golden.Read("p_x0");
        RelativeError.OfSamples(result.Data, expectedData, dataScale).Should().BeLessThan(Tolerance);
        var expectedMean = golden.Read("p_mean");
        RelativeError.OfSamples(result.Mean, expectedMean, meanScale).Should().BeLessThan(Tolerance);
        var expectedVariance = golden.ReadDouble("p_var");
        RelativeError.OfSamples(result.Variance, expectedVariance).Should().BeLessThan(Tolerance);
        var expectedLogVariance = golden.ReadDouble("p_logvar");
        RelativeError.OfSamples(result.LogVariance, expectedLogVariance).Should().BeLessThan(Tolerance);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Predicted_data_equals_the_reference_to_the_last_digits_where_its_casts_are_repeated(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var process = new ReverseProcess(
            OpenAiCase.Schedule(golden.Case),
            new SinglePrecisionPrediction(OpenAiCase.Mean(golden.Case)),
            OpenAiCase.Variance(golden.Case))
        {
            Clip = golden.Case.GetProperty("clip").GetBoolean(),
        };
        var t = golden.Read("t");
        var xt = golden.Read("x_t");
        var output = golden.Read("model_out");

        using var result = process.Transition(xt, t, output);

        var expected = golden.Read("p_x0");
        RelativeError.OfSamples(result.Data, expected).Should().BeLessThan(1e-12);
    }

    private static LinearPair Magnitude(LinearPair pair) => new(Math.Abs(pair.First), Math.Abs(pair.Second));

    private sealed class SinglePrecisionPrediction(Prediction inner) : Prediction
    {
        public override string Name => inner.Name;

        public override bool IsPosteriorMean => inner.IsPosteriorMean;

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => Cast(inner.Target(level, previous));

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => Cast(inner.ToX0(level, previous));

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => Cast(inner.ToEpsilon(level, previous));

        private static LinearPair Cast(LinearPair pair) => new((float)pair.First, (float)pair.Second);
    }
}
