using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>
/// What a sampler would sample, without Monte Carlo. With Gaussian data, N(.3, .5^2), the exact denoiser is affine, so a whole run is
/// affine in its initial noise and its draws. The sampler is run once on a batch of probes, one for each of them, and the coefficients
/// give the mean and the standard deviation of the result.
/// </summary>
internal static class GaussianMoments
{
    public const double Mean = 0.3;
    public const double Deviation = 0.5;

    /// <summary>The mean and the standard deviation of the samples of a solver that draws at most once a step.</summary>
    public static (double Mean, double Deviation) Of(ISolver solver, TimeGrid grid)
    {
        var sampler = new DiffusionSampler(grid, solver, new SamplerOptions { Threshold = Thresholding.None });
        var denoiser = new ExactDenoiser(grid.Schedule, ExactDenoiser.Gaussian(Mean, Deviation), Prediction.Epsilon);

        // Probe 0 is given no noise at all; probe m + 1 is given one unit at draw m, which for m = 0 is the initial sample.
        using var noise = new ReplayNoise((m, like) =>
        {
            var unit = zeros_like(like);
            using var probe = unit.narrow(0, m + 1, 1);
            probe.fill_(1.0);
            return unit;
        });
        using var result = sampler.Sample(
            denoiser.Model,
            new SamplingRequest { Shape = [grid.Count + 2, 1], Noise = noise, Dtype = ScalarType.Float64 },
            cancellationToken: TestContext.Current.CancellationToken);

        var values = result.Values();
        var mean = values[0];
        return (mean, Math.Sqrt(values.Skip(1).Sum(value => (value - mean) * (value - mean))));
    }
}
