using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

/// <summary>A wrapper that does not change the function of a network does not change the likelihood.</summary>
public sealed class LikelihoodOfWrappersTests
{
    private const int Classes = 3;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var wrapper in (string[])["averaged", "averaged scope", "guided", "lora", "condition dropout", "delegate", "checkpoint"])
            {
                foreach (var trace in (string[])["exact", "rademacher", "gaussian"])
                    cases.Add(wrapper, trace);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_wrapper_has_the_likelihood_of_its_network_by_every_estimator(string wrapper, string trace)
    {
        manual_seed(3);
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1, Classes = Classes + 1 });
        using (no_grad())
        {
            foreach (var parameter in network.parameters())
                parameter.copy_(parameter.add(randn_like(parameter).mul(0.2)));
        }

        using var model = new DiffusionModel(network, new CircularSchedule()) { DataRange = DataRange.Unbounded };
        using var trainer = wrapper.StartsWith("averaged", StringComparison.Ordinal) ? new DdpmTrainer(model, new SimpleLoss()) : null;
        using var lora = wrapper == "lora" ? LoraAdapter.Inject(network, new LoraOptions { Targets = name => name.Contains("linear_1", StringComparison.Ordinal) }) : null;
        using var empty = Condition.OfLabels([Classes]);
        using var wrapped = wrapper switch
        {
            "averaged" or "averaged scope" => trainer!.Ema,
            "guided" => Guidance.ClassifierFree(model, 1.0, nullLabel: Classes),
            "condition dropout" => model.With(new ConditionDropout(network, 0.5, empty)),
            "delegate" => model.With(new DelegateDenoiser((x, t, condition) => network.Predict(x, t, condition))),
            "checkpoint" => model.With(new DelegateDenoiser(
                (x, t, condition) => GradientCheckpointing.Run((input, time) => network.Predict(input, time, condition), x, t))),
            _ => model.With(network),
        };
        var expected = LogDensity(model, trace);

        using var scope = wrapper == "averaged scope" ? trainer!.Ema.BeginInference() : null;
        var actual = LogDensity(wrapped, trace);

        // A checkpoint adds the terms of a gradient in another order.
        var tolerance = wrapper == "checkpoint" ? 1e-6 : 0.0;
        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], tolerance);
    }

    [Theory]
    [InlineData("exact")]
    [InlineData("rademacher")]
    public void The_divergence_of_a_guided_model_includes_that_of_the_classifier(string trace)
    {
        using var model = new FunctionDenoiser(x => x.tanh()).On(new CircularSchedule());
        using var guided = Guidance.Classifier(model, (x, _, _) => x.cos().sum(1L), 0.5);
        using var written = model.With(new DelegateDenoiser((x, t, _) => x.tanh().add(x.sin().mul(0.5).mul(t.to(x.dtype).view(-1, 1)))));
        var expected = LogDensity(written, trace);

        var actual = LogDensity(guided, trace);

        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], 1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_network_without_gradients_of_its_input_is_an_error(bool trained)
    {
        using var weight = tensor(0.5f, requires_grad: trained);
        using var model = new FunctionDenoiser(x => x.detach().mul(weight)).On(new CircularSchedule());

        FluentActions.Invoking(() => LogDensity(model, "exact"))
            .Should().Throw<InvalidOperationException>().WithMessage("*FunctionDenoiser has no gradient*");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_classifier_without_gradients_of_its_input_is_an_error(bool trained)
    {
        using var weight = tensor(0.5f, requires_grad: trained);
        using var model = new FunctionDenoiser(x => x.mul(0.5)).On(DiscreteSchedule.Linear(10));
        using var guided = Guidance.Classifier(model, (x, t, _) => x.detach().mul(weight).sum(1L));
        using var sample = ones(2, 2);
        using var times = zeros([2], ScalarType.Int64);

        FluentActions.Invoking(() => guided.Network.Predict(sample, times)).Should().Throw<InvalidOperationException>().WithMessage("*classifier*");
    }

    [Theory]
    [InlineData("exact")]
    [InlineData("rademacher")]
    public void Samples_may_come_from_inference_mode_but_the_likelihood_is_not_computed_in_it(string trace)
    {
        using var model = new FunctionDenoiser(x => x.tanh()).On(new CircularSchedule());
        var expected = LogDensity(model, trace);

        using (inference_mode())
            FluentActions.Invoking(() => LogDensity(model, trace)).Should().Throw<InvalidOperationException>().WithMessage("*inference mode*");
        using var samples = SamplesOfInferenceMode();

        LogDensity(model, trace, samples).Should().Equal(expected);

        static Tensor SamplesOfInferenceMode()
        {
            using var mode = inference_mode();
            return Samples();
        }
    }

    [Fact]
    public void Averaged_weights_are_differentiated_in_a_scope_only()
    {
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1 });
        using var trainer = new DdpmTrainer(new DiffusionModel(network, DiscreteSchedule.Linear(10)), new SimpleLoss());
        using var x = ones(1, 2).requires_grad_();
        using var t = zeros([1], ScalarType.Int64);

        FluentActions.Invoking(() => trainer.Ema.Network.Predict(x, t)).Should().Throw<InvalidOperationException>().WithMessage("*BeginInference*");

        using var scope = trainer.Ema.BeginInference();
        using var output = trainer.Ema.Network.Predict(x, t);
        output.requires_grad.Should().BeTrue();
    }

    private static Tensor Samples() => tensor(new[] { 0.3f, -0.4f, 0.1f, 0.9f }).reshape(2, 2);

    private static double[] LogDensity(DiffusionModel model, string trace, Tensor? samples = null)
    {
        using var scope = NewDisposeScope();
        var likelihood = new ProbabilityFlowLikelihood(new ProbabilityFlowOptions
        {
            Solver = new RungeKutta(ButcherTableau.RungeKutta4, 8),
            Trace = trace switch
            {
                "exact" => TraceEstimator.Exact,
                "rademacher" => TraceEstimator.Rademacher(2),
                _ => TraceEstimator.Gaussian(2),
            },
        });
        using var labels = Condition.OfLabels([0, 2]);
        return likelihood.LogDensity(model, samples ?? Samples(), new LikelihoodRequest { Seed = 1, Condition = labels }).Values();
    }

    /// <summary>Variance preserving, with a time in [0.01, 0.9] that the network receives as it is.</summary>
    private sealed class CircularSchedule : INoiseSchedule
    {
        public double MinTime => 0.01;

        public double MaxTime => 0.9;

        public NoiseLevel LevelAt(double t) => new(Math.Sqrt(1.0 - (t * t)), t);
    }
}
