using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

/// <summary>
/// The reference casts its tables to single precision, and where the variance is fixed takes the divergence of two all but equal
/// Gaussians in it. Its small terms carry that rounding, so an error is relative to what the result is a difference of; that the small
/// terms are right as well is for <see cref="ExactModelTests"/> to show, in double precision.
/// </summary>
[Trait(Category.Name, Category.Golden)]
public sealed class VariationalBoundGoldenTests
{
    public static TheoryData<string> Files => GoldenFile.Find("process", "process-*.safetensors", file => file.Contains("vb"));

    public static TheoryData<string> LossFiles => GoldenFile.Find("process", "process-*.safetensors", file => file.Contains("loss_kl"));

    public static TheoryData<string> LearnedFiles => GoldenFile.Find(
        "process", "process-*.safetensors", file => file.Contains("loss_rescaled_mse") && OpenAiCase.Variance(file.Case).IsLearned);

    [Theory]
    [MemberData(nameof(Files))]
    public void Each_term_of_the_bound_is_that_of_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var bound = Bound(golden, golden.Case.GetProperty("clip").GetBoolean());

        var term = bound.Term(golden.Read("x0"), golden.Read("x_t"), golden.Read("t"), golden.Read("model_out"));

        var expected = golden.ReadDouble("vb");
        RelativeError.OfSamples(term, expected, Scale(bound, golden, expected)).Should().BeLessThan(1e-6);
    }

    [Theory]
    [MemberData(nameof(LossFiles))]
    public void Both_forms_of_the_bound_are_losses_of_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var bound = Bound(golden, clip: false);
        foreach (var (name, rescale) in new[] { ("loss_kl", false), ("loss_rescaled_kl", true) })
        {
            var loss = new VlbLoss(OpenAiCase.Variance(golden.Case)) { Rescale = rescale };

            using var terms = Evaluate(loss, golden);

            var factor = rescale ? bound.Reverse.Schedule.Steps : 1.0;
            var expected = golden.ReadDouble(name);
            var scale = Scale(bound, golden, expected.mul(1.0 / factor)).mul(factor);
            RelativeError.OfSamples(terms.Loss, expected, scale).Should().BeLessThan(1e-6, name);
            RelativeError.OfSamples(terms["vlb"].mul(factor), expected, scale).Should().BeLessThan(1e-6, name);
        }
    }

    [Theory]
    [MemberData(nameof(LearnedFiles))]
    public void The_squared_error_with_a_share_of_the_bound_is_the_loss_of_the_reference(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile(path);
        using var bound = Bound(golden, clip: false);
        foreach (var (name, weight) in new[] { ("loss_mse", (double?)1.0), ("loss_rescaled_mse", null) })
        {
            using var terms = Evaluate(new HybridLoss(new SimpleLoss(), OpenAiCase.Variance(golden.Case), vlbWeight: weight), golden);

            var expected = golden.ReadDouble(name);
            RelativeError.OfSamples(terms.Loss, expected, Scale(bound, golden, expected)).Should().BeLessThan(1e-6, name);
        }
    }

    private static VariationalBound Bound(GoldenFile golden, bool clip)
        => new(Model(golden, (xt, _) => xt.clone()), OpenAiCase.Variance(golden.Case)) { Clip = clip };

    private static LossTerms Evaluate(IDiffusionLoss loss, GoldenFile golden)
    {
        var output = golden.Read("model_out");
        using var model = Model(golden, (_, _) => output.clone());
        return loss.Evaluate(new LossContext(model, golden.Read("x0"), golden.Read("t"), golden.Read("noise")));
    }

    private static DiffusionModel Model(GoldenFile golden, Func<torch.Tensor, torch.Tensor, torch.Tensor> network)
        => new FunctionDenoiser(network).On(
            OpenAiCase.Schedule(golden.Case), OpenAiCase.Mean(golden.Case), OpenAiCase.Variance(golden.Case).IsLearned);

    /// <summary>
    /// What a rounding of the coefficients acts on: the result itself, the means times their difference over the variance, and the parts of
    /// order one that cancel in the divergence of two variances.
    /// </summary>
    private static torch.Tensor Scale(VariationalBound bound, GoldenFile golden, torch.Tensor expected)
    {
        using var transition = bound.Reverse.Transition(golden.Read("x_t"), golden.Read("t"), golden.Read("model_out"));
        var posterior = bound.Process.PosteriorMean(golden.Read("x0"), golden.Read("x_t"), golden.Read("t"));
        var shift = posterior.sub(transition.Mean).abs();
        var size = posterior.abs().add(transition.Mean.abs());
        var means = shift.mul(size).mul(transition.LogVariance.neg().exp());
        return expected.abs().add(Mean(means)).add(1.0);
    }

    private static torch.Tensor Mean(torch.Tensor values) => values.reshape(values.shape[0], -1).mean([1L]);
}
