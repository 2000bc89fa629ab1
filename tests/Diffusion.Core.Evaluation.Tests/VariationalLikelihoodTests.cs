using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class VariationalLikelihoodTests
{
    public static TheoryData<string> Files => GoldenFile.Find("process", "bpd-*.safetensors");

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [Trait(Category.Name, Category.Fault)]
    public void Data_that_are_no_bytes_are_refused_in_bytes(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var bytes = arange(0, 256, 1, dtype: ScalarType.Float64).div(127.5).sub(1.0).to(type);
        DataLikelihood.Bytes.Check(bytes);
        DataLikelihood.Discretised(2).Check(tensor(new[] { -1.0, 1.0, 1.0 }).to(type));
        var points = tensor(new[] { -0.7312, 0.4179, 2.5 }).to(type);
        DataLikelihood.Continuous.Check(points);
        FluentActions.Invoking(() => DataLikelihood.Bytes.Check(points)).Should().Throw<ArgumentException>().WithMessage("*grid of 256*from -0.73*to 2.5*Continuous*");
        FluentActions.Invoking(() => DataLikelihood.Bytes.Check(bytes.add(3.0))).Should().Throw<ArgumentException>("they are outside [-1, 1]");
        if (type != ScalarType.Float32)
            return;
        var model = new FunctionDenoiser(x => x.clone()).On(DiscreteSchedule.Linear(4));
        var samples = points.unsqueeze(0);
        FluentActions.Invoking(() => new VariationalLikelihood().BitsPerDim(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken))
            .Should().Throw<ArgumentException>().WithMessage("*grid of 256*");
        new VariationalLikelihood(likelihood: DataLikelihood.Continuous)
            .BitsPerDim(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken).shape.Should().Equal(1);
    }

    [Theory]
    [MemberData(nameof(Files))]
    [Trait(Category.Name, Category.Golden)]
    public void Every_term_is_that_of_the_reference(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = new GoldenFile(path);
        var schedule = OpenAiCase.Schedule(golden.Case);
        var noise = golden.Read("noise");
        using var model = new DelegateDenoiser((xt, t) => xt.mul(schedule.Sigma(t.Values()[0]))).On(schedule);
        var likelihood = new VariationalLikelihood(ReverseVariance.FixedLarge) { Clip = true };

        using var bits = likelihood.Evaluate(
            model, golden.Read("x0"), new LikelihoodRequest(), (t, _) => noise[schedule.Steps - 1 - t].clone(), cancellationToken: TestContext.Current.CancellationToken);

        // The reference lists its terms as its loop meets them, from the last index to the first.
        bits.Terms.ShouldBeClose(golden.ReadDouble("vb").flip(1), 1e-6, "vb");

        // Its x_0 is a difference of numbers that are 1 / alpha times as large, with coefficients in single precision.
        var alphas = tensor(Enumerable.Range(0, schedule.Steps).Select(t => schedule.Alpha(t)).ToArray());
        bits.DataError.mul(alphas).ShouldBeClose(golden.ReadDouble("xstart_mse").flip(1).mul(alphas), 1e-6, "xstart_mse");
        bits.NoiseError.ShouldBeClose(golden.ReadDouble("mse").flip(1), 1e-6, "mse");
        bits.Prior.ShouldBeClose(golden.ReadDouble("prior_bpd"), 1e-6, "prior");
        bits.Total.ShouldBeClose(golden.ReadDouble("total_bpd"), 1e-6, "total");
    }
}
