using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class EdmPreconditioningTests
{
    private static readonly double[] Sigmas = [0.002, 0.1, 0.5, 1.7, 80];

    [Theory]
    [InlineData(0.5, null)]
    [InlineData(0.5, 0.25)]
    [InlineData(1.3, 250.0)]
    public void It_is_the_prediction_of_edm_around_the_raw_network(double sigmaData, double? timeScale)
    {
        using var scope = NewDisposeScope();
        using var network = new TinyDenoiser(dtype: ScalarType.Float64);
        var wrapped = new EdmPreconditioning(network, sigmaData, timeScale);
        var prediction = Prediction.Edm(sigmaData);
        var x = randn(Sigmas.Length, 2, dtype: ScalarType.Float64);

        var actual = wrapped.Predict(x, tensor([.. Sigmas.Select(sigma => timeScale is { } scale ? scale * Math.Log(sigma) : sigma)]));

        for (var k = 0; k < Sigmas.Length; k++)
        {
            var level = new NoiseLevel(1, Sigmas[k]);
            var pair = prediction.ToData(level, default);
            var row = x.narrow(0, k, 1);
            var raw = network.Predict(row.mul(prediction.InputScale!(level)), tensor(new[] { Math.Log(Sigmas[k]) / 4 }));
            var expected = row.mul(pair.First).add(raw.mul(pair.Second));
            actual.narrow(0, k, 1).sub(expected).abs().max().item<double>().Should().BeLessThan(1e-13);
        }
    }

    [Fact]
    public void Input_and_target_of_the_network_have_unit_variance_at_every_level()
    {
        const double sigmaData = 0.5;
        using var scope = NewDisposeScope();
        using var network = new Listener();
        var wrapped = new EdmPreconditioning(network, sigmaData);
        using var generator = new Generator(5);
        var clean = randn([400_000], dtype: ScalarType.Float64, generator: generator).mul(sigmaData);
        var noise = randn([400_000], dtype: ScalarType.Float64, generator: generator);
        foreach (var sigma in Sigmas)
        {
            var x = clean.add(noise.mul(sigma)).unsqueeze(0);
            var t = tensor(new[] { sigma });
            network.Answer = 0;
            var atZero = wrapped.Predict(x, t);
            network.Answer = 1;
            var slope = wrapped.Predict(x, t).sub(atZero);
            var target = clean.sub(atZero).div(slope);

            network.Input!.pow(2).mean().item<double>().Should().BeApproximately(1, 0.01);
            target.pow(2).mean().item<double>().Should().BeApproximately(1, 0.01);
            network.Time!.item<double>().Should().BeApproximately(Math.Log(sigma) / 4, 1e-15);
        }
    }

    [Fact]
    public void The_loss_of_data_with_the_weighting_of_edm_is_that_of_its_prediction()
    {
        using var scope = NewDisposeScope();
        using var network = new TinyDenoiser(dtype: ScalarType.Float64);
        var schedule = new EdmSchedule();
        using var process = new ForwardProcess(schedule);
        var x0 = randn(Sigmas.Length, 2, dtype: ScalarType.Float64);
        var noise = randn(Sigmas.Length, 2, dtype: ScalarType.Float64);
        var t = tensor([.. Sigmas.Select(sigma => Math.Clamp(schedule.TimeOfSigma(sigma), schedule.MinTime, schedule.MaxTime))]);

        using var wrapped = new SimpleLoss(Prediction.Data, weighting: LossWeighting.Edm(0.5))
            .Evaluate(new EdmPreconditioning(network, 0.5, schedule.TimeScale), process, x0, t, noise);
        using var raw = new SimpleLoss(Prediction.Edm(0.5)).Evaluate(network, process, x0, t, noise);

        RelativeError.OfSamples(wrapped.Loss.unsqueeze(1), raw.Loss.unsqueeze(1)).Should().BeLessThan(1e-9);
    }

    [Fact]
    public void It_trains_and_samples_as_any_network()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        using var network = new TinyDenoiser();
        var schedule = new EdmSchedule();
        using var trainer = new DdpmTrainer(
            new EdmPreconditioning(network, 1, schedule.TimeScale),
            schedule,
            new SimpleLoss(Prediction.Data, weighting: LossWeighting.Edm(1)),
            new TrainerOptions { BatchSize = 16, Steps = 5 });
        var before = Bits.Of(network.parameters().First());

        trainer.Fit(new EightGaussians(count: 64), cancellationToken: cancellationToken);
        var options = new SamplerOptions { Prediction = Prediction.Data };
        using var samples = new DdimSampler(schedule, steps: 5, spacing: RatioSpacing.Karras(), options: options)
            .Sample(trainer.Ema, [8, 2], seed: 1, cancellationToken: cancellationToken);

        Bits.Of(network.parameters().First()).Should().NotBe(before);
        samples.isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void What_does_not_fit_is_refused_and_nothing_stays()
    {
        using var network = new TinyDenoiser();
        using var x = zeros(2, 2);
        using var t = ones(2);
        using var one = ones(1);
        var wrapped = new EdmPreconditioning(network);

        FluentActions.Invoking(() => new EdmPreconditioning(network, 0)).Should().Throw<ArgumentException>().WithMessage("*sigmaData*0*");
        FluentActions.Invoking(() => new EdmPreconditioning(network, 1, -1)).Should().Throw<ArgumentException>().WithMessage("*timeScale*-1*");
        LiveTensors.Change(() =>
        {
            FluentActions.Invoking(() => wrapped.Predict(x, one)).Should().Throw<ArgumentException>().WithMessage("*[2]*[1]*");
            wrapped.Predict(x, t).Dispose();
        }).Should().Be(0);
    }

    /// <summary>Keeps what it is shown, and answers with one number.</summary>
    private sealed class Listener() : nn.Module<Tensor, Tensor>(nameof(Listener)), ITrainableDenoiser
    {
        public double Answer { get; set; }

        public Tensor? Input { get; private set; }

        public Tensor? Time { get; private set; }

        public nn.Module Module => this;

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            (Input, Time) = (xt.clone().DetachFromDisposeScope(), t.clone().DetachFromDisposeScope());
            return call(xt);
        }

        public override Tensor forward(Tensor xt) => full_like(xt, Answer);
    }
}
