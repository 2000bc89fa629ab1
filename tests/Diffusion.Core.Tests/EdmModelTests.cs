using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>EDM's preconditioning as the prediction of a model, against the equations of Karras et al. 2022, table 1.</summary>
public class EdmModelTests
{
    private static readonly double[] Sigmas = [0.002, 0.1, 0.5, 1.7, 80];

    [Theory]
    [InlineData(0.5, 0.25)]
    [InlineData(1.3, 250.0)]
    public void The_predicted_x0_is_that_of_the_equations(double sigmaData, double timeScale)
    {
        using var scope = NewDisposeScope();
        using var network = new TinyDenoiser(dtype: ScalarType.Float64);
        var schedule = new EdmSchedule(timeScale: timeScale);
        using var model = new DiffusionModel(network, schedule, Prediction.Edm(sigmaData));
        foreach (var sigma in Sigmas)
        {
            var x = randn(3, 2, dtype: ScalarType.Float64);
            using var prediction = model.Predict(x, Time(schedule, sigma), new NoiseLevel(1, sigma));
            var expected = Preconditioned(network, x, sigma, sigmaData, Time(schedule, sigma));
            prediction.X0.sub(expected).abs().max().item<double>().Should().BeLessThan(1e-13);
        }
    }

    [Fact]
    public void Input_and_target_of_the_network_have_unit_variance_at_every_level()
    {
        const double sigmaData = 0.5;
        using var scope = NewDisposeScope();
        using var network = new Listener();
        var schedule = new EdmSchedule();
        using var model = new DiffusionModel(network, schedule, Prediction.Edm(sigmaData));
        using var generator = new Generator(5);
        var clean = randn([400_000], dtype: ScalarType.Float64, generator: generator).mul(sigmaData);
        var noise = randn([400_000], dtype: ScalarType.Float64, generator: generator);
        foreach (var sigma in Sigmas)
        {
            var x = clean.add(noise.mul(sigma)).unsqueeze(0);
            network.Answer = 0;
            using var zero = model.Predict(x, Time(schedule, sigma), new NoiseLevel(1, sigma));
            var atZero = zero.X0;
            network.Answer = 1;
            using var one = model.Predict(x, Time(schedule, sigma), new NoiseLevel(1, sigma));
            var slope = one.X0.sub(atZero);
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
        var preconditioned = new DelegateDenoiser((x, t, _) => cat(
            [.. Enumerable.Range(0, Sigmas.Length).Select(k => Preconditioned(network, x.narrow(0, k, 1), Sigmas[k], 0.5, t[k].item<double>()))]));
        using var ofData = new DiffusionModel(preconditioned, schedule, Prediction.X0);
        using var ofEdm = new DiffusionModel(network, schedule, Prediction.Edm(0.5));
        var x0 = randn(Sigmas.Length, 2, dtype: ScalarType.Float64);
        var noise = randn(Sigmas.Length, 2, dtype: ScalarType.Float64);
        var t = tensor([.. Sigmas.Select(sigma => Time(schedule, sigma))]);

        using var wrapped = new SimpleLoss(weighting: LossWeighting.Edm(0.5)).Evaluate(new LossContext(ofData, x0, t, noise));
        using var raw = new SimpleLoss().Evaluate(new LossContext(ofEdm, x0, t, noise));

        RelativeError.OfSamples(wrapped.Loss.unsqueeze(1), raw.Loss.unsqueeze(1)).Should().BeLessThan(1e-9);
    }

    [Fact]
    public void It_trains_and_samples_as_any_network()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        using var network = new TinyDenoiser();
        var schedule = new EdmSchedule();
        using var model = new DiffusionModel(network, schedule, Prediction.Edm(1));
        using var trainer = new DdpmTrainer(
            model, new SimpleLoss(weighting: LossWeighting.Edm(1)), new TrainerOptions { BatchSize = 16, Steps = 5 });
        var before = Bits.Of(network.parameters().First());

        trainer.Fit(PointDataset.EightGaussians(count: 64), cancellationToken: cancellationToken);
        using var samples = new DdimSampler(steps: 5, spacing: SigmaSpacing.Karras(), options: Runs.Clipped)
            .Sample(trainer.Ema, [8, 2], seed: 1, cancellationToken: cancellationToken);

        Bits.Of(network.parameters().First()).Should().NotBe(before);
        samples.isfinite().all().item<bool>().Should().BeTrue();
    }

    private static double Time(EdmSchedule schedule, double sigma)
        => Math.Clamp(schedule.TimeOfSigma(sigma), schedule.MinTime, schedule.MaxTime);

    /// <summary>D(x; sigma) = c_skip x + c_out F(c_in x, c_noise), with the network's own timestep for c_noise.</summary>
    private static Tensor Preconditioned(TinyDenoiser network, Tensor x, double sigma, double sigmaData, double timestep)
    {
        var variance = (sigma * sigma) + (sigmaData * sigmaData);
        var raw = network.Predict(x.div(Math.Sqrt(variance)), full([x.shape[0]], timestep, dtype: ScalarType.Float64));
        return x.mul(sigmaData * sigmaData / variance).add(raw.mul(sigma * sigmaData / Math.Sqrt(variance)));
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
