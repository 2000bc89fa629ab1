using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>
/// The numbers that diffusers' own tests state for whole walks of ten steps: the model answers <c>x t / (t + 1)</c>, the walk starts from a
/// ramp, and the sum or the mean of the absolute values is compared.
/// </summary>
public class FullLoopTests
{
    private const int Count = 4 * 3 * 8 * 8;

    [Theory]
    [InlineData("DDIMScheduler", "", 172.0067)]
    [InlineData("DDIMScheduler", "'prediction_type': 'v_prediction'", 52.5302)]
    [InlineData("DDIMScheduler", "'set_alpha_to_one': true, 'beta_start': 0.01", 149.8295)]
    [InlineData("DDIMScheduler", "'set_alpha_to_one': false, 'beta_start': 0.01", 149.0784)]
    [InlineData("DDIMInverseScheduler", "", 671.6816)]
    [InlineData("DDIMInverseScheduler", "'prediction_type': 'v_prediction'", 1394.2185)]
    [InlineData("PNDMScheduler", "", 198.1318)]
    [InlineData("PNDMScheduler", "'prediction_type': 'v_prediction'", 67.3986)]
    public void The_sum_is_that_of_diffusers(string scheduler, string settings, double sum)
        => Mean(scheduler, settings).Should().BeApproximately(sum / Count, 1e-2 / Count);

    [Theory]
    [InlineData("DPMSolverMultistepScheduler", "'lower_order_final': false", 0.3301)]
    [InlineData("DPMSolverMultistepScheduler", "'lower_order_final': false, 'prediction_type': 'v_prediction'", 0.2251)]
    [InlineData("DPMSolverMultistepScheduler", "'lower_order_final': false, 'prediction_type': 'v_prediction', 'use_karras_sigmas': true", 0.2096)]
    [InlineData("DPMSolverMultistepScheduler", "'lower_order_final': false, 'prediction_type': 'v_prediction', 'use_lu_lambdas': true", 0.1554)]
    [InlineData("DPMSolverSinglestepScheduler", "", 0.2791)]
    [InlineData("DPMSolverSinglestepScheduler", "'use_karras_sigmas': true", 0.2248)]
    [InlineData("DPMSolverSinglestepScheduler", "'prediction_type': 'v_prediction'", 0.1453)]
    [InlineData("DPMSolverSinglestepScheduler", "'prediction_type': 'v_prediction', 'use_karras_sigmas': true", 0.0649)]
    [InlineData("UniPCMultistepScheduler", "", 0.2464)]
    [InlineData("UniPCMultistepScheduler", "'use_karras_sigmas': true", 0.2925)]
    [InlineData("UniPCMultistepScheduler", "'prediction_type': 'v_prediction'", 0.1014)]
    [InlineData("UniPCMultistepScheduler", "'prediction_type': 'v_prediction', 'use_karras_sigmas': true", 0.1966)]
    [InlineData("DEISMultistepScheduler", "", 0.23916)]
    [InlineData("DEISMultistepScheduler", "'prediction_type': 'v_prediction'", 0.091)]
    [InlineData("DPMSolverMultistepInverseScheduler", "'lower_order_final': false", 0.7047)]
    [InlineData("DPMSolverMultistepInverseScheduler", "'lower_order_final': false, 'prediction_type': 'v_prediction'", 1.5194)]
    [InlineData("DPMSolverMultistepInverseScheduler", "'lower_order_final': false, 'prediction_type': 'v_prediction', 'use_karras_sigmas': true", 1.7833, 2e-3)]
    public void The_mean_is_that_of_diffusers(string scheduler, string settings, double mean, double tolerance = 1e-3)
        => Mean(scheduler, settings + (settings.Length > 0 ? ", " : "") + "'final_sigmas_type': 'sigma_min'")
            .Should().BeApproximately(mean, tolerance);

    /// <summary>The last two of ten steps, from the ramp noised by its mirror image.</summary>
    [Fact]
    public void The_sum_of_image_to_image_is_that_of_diffusers()
    {
        var mapped = DiffusersScheduler.Create(SchedulerConfig.Parse("{}", "DDIMScheduler"), new SchedulerCall { Steps = 10 });
        var whole = mapped.Sampler;
        var sampler = new DiffusionSampler(whole.Grid!.StartingAt(0.2), whole.Solver, whole.Options);
        using var model = mapped.CreateModel(Network());
        using var data = Ramp(mirrored: false);
        using var noise = new ReplayNoise((_, _) => Ramp(mirrored: true));
        using var result = sampler.Sample(
            model,
            new SamplingRequest { Shape = data.shape, InitialData = data, Noise = noise },
            cancellationToken: TestContext.Current.CancellationToken);

        result.Values().Sum(Math.Abs).Should().BeApproximately(354.5418, 1e-2);
    }

    private static FunctionDenoiser Network() => new((x, t, _) =>
    {
        var time = t.Values()[0];
        return x.mul(time / (time + 1.0));
    });

    private static Tensor Ramp(bool mirrored)
    {
        using var scope = NewDisposeScope();
        var ramp = arange(Count, dtype: ScalarType.Float64);
        return (mirrored ? ramp.flip(0) : ramp).div(Count).reshape(3, 8, 8, 4).permute(3, 0, 1, 2).contiguous().MoveToOuterDisposeScope();
    }

    private static double Mean(string scheduler, string settings)
    {
        var config = SchedulerConfig.Parse($$"""{{{settings.Replace('\'', '"')}}}""", scheduler);
        using var start = Ramp(mirrored: false);
        var mapped = DiffusersScheduler.Create(config, new SchedulerCall { Steps = 10 });
        using var model = mapped.CreateModel(Network());
        using var result = mapped.Sampler.Sample(
            model,
            new SamplingRequest { Shape = start.shape, InitialSample = start },
            cancellationToken: TestContext.Current.CancellationToken);
        return result.Values().Average(Math.Abs);
    }
}
