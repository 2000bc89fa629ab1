using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

[Trait(Category.Name, Category.Golden)]
public sealed class SimpleLossGoldenTests
{
    /// <summary>The cases whose mse is the whole loss: those with a network that learns no variance.</summary>
    public static TheoryData<string> Files => GoldenFile.Find(
        "process", "process-*.safetensors", file => file.Contains("loss_mse") && !OpenAiCase.Variance(file.Case).IsLearned);

    [Theory]
    [MemberData(nameof(Files))]
    public void Each_sample_has_the_loss_of_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        var x0 = golden.Read("x0");
        var t = golden.Read("t");
        var noise = golden.Read("noise");
        var expectedXt = golden.Read("x_t");
        var output = golden.Read("model_out");
        var expected = golden.ReadDouble("loss_mse");
        var denoiser = new FunctionDenoiser((xt, time) =>
        {
            RelativeError.OfSamples(xt, expectedXt).Should().BeLessThan(1e-6);
            time.ShouldBeIdentical(t, "the time that the network is told");
            return output.clone();
        });

        var prediction = OpenAiCase.Mean(golden.Case);
        using var model = denoiser.On(OpenAiCase.Schedule(golden.Case), prediction);

        using var terms = new SimpleLoss().Evaluate(new LossContext(model, x0, t, noise));

        // The previous mean as a target is made with coefficients that the reference casts to single precision, and the loss is the
        // square of a small difference with it: its error is relative to (target x difference) and not to its own square.
        var target = model.Process.Target(prediction, x0, t, noise);
        var targetSquared = target.mul(target).reshape(x0.shape[0], -1).mean([1L]);
        var scale = prediction.IsPosteriorMean ? targetSquared.mul(expected).sqrt() : expected;
        denoiser.Calls.Should().Be(1);
        RelativeError.OfSamples(terms.Loss, expected, scale).Should().BeLessThan(1e-6);
        RelativeError.OfSamples(terms["mse"], expected, scale).Should().BeLessThan(1e-6);
    }
}
