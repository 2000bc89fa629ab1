using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class VariationalLikelihoodTests
{
    public static TheoryData<string> Files => GoldenFile.Find("process", "bpd-*.safetensors");

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
