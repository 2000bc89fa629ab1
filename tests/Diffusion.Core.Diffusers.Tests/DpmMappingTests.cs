using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Settings of the DPM-Solver family that no recorded run has.</summary>
public class DpmMappingTests
{
    [Theory]
    [InlineData("{}", new double[] { 0, 333, 666 }, 999.0)]
    [InlineData("{\"timestep_spacing\": \"leading\", \"steps_offset\": 1}", new double[] { 1, 251, 501 }, 999.0)]
    [InlineData("{\"timestep_spacing\": \"trailing\"}", new double[] { 332, 666, 999 }, 999.0)]
    [InlineData("{\"use_karras_sigmas\": true}", new double[] { 0, 593, 999 }, 999.0)]
    public void Inversion_rises_from_little_noise_to_the_end_of_the_schedule(string settings, double[] times, double last)
    {
        var grid = Create("DPMSolverMultistepInverseScheduler", settings, 3).Sampler.Grid!;

        grid.Times.ToArray().Should().Equal(times);
        grid.Levels.ToArray().Select(level => level.Lambda).Should().BeInDescendingOrder();
        grid.Levels[^1].Lambda.Should().BeApproximately(grid.Schedule.LevelAt(last).Lambda, 1e-6);
    }

    [Fact]
    public void UniPC_on_a_straight_line_starts_just_below_noise_alone()
    {
        var settings = """{"use_flow_sigmas": true, "prediction_type": "flow_prediction", "flow_shift": 2.0}""";

        var mapped = Create("UniPCMultistepScheduler", settings, 4);

        var grid = mapped.Sampler.Grid!;
        var sigmas = grid.Levels.ToArray().Select(level => level.Sigma).ToArray();
        sigmas[0].Should().BeApproximately(1.0 - 1e-6, 1e-12);
        for (var k = 1; k < 4; k++)
        {
            var even = 1.0 - (k * 0.999 / 4.0);
            sigmas[k].Should().BeApproximately(2.0 * even / (1.0 + even), 1e-12);
            grid.Times[k].Should().Be(Math.Floor(1000.0 * sigmas[k]));
        }

        sigmas[4].Should().Be(0.0);
        mapped.Prediction.Should().BeSameAs(Prediction.FlowVelocity);
    }

    [Theory]
    [InlineData("DEISMultistepScheduler", true)]
    [InlineData("SASolverScheduler", true)]
    [InlineData("UniPCMultistepScheduler", false)]
    public void A_Karras_grid_ends_at_its_last_level_again_where_the_scheduler_has_no_end_without_noise(string scheduler, bool repeats)
    {
        var levels = Create(scheduler, """{"use_karras_sigmas": true}""", 5).Sampler.Grid!.Levels;

        levels[^1].Should().Be(repeats ? levels[^2] : NoiseLevel.Clean);
    }

    [Theory]
    [InlineData("use_lu_lambdas", 999.0)]
    [InlineData("use_exponential_sigmas", 998.0)]
    public void The_noisiest_level_of_a_cosine_grid_has_the_time_that_rounding_gives_it(string setting, double expected)
        => Create("DPMSolverMultistepScheduler", $$"""{"beta_schedule": "squaredcos_cap_v2", "{{setting}}": true}""", 7)
            .Sampler.Grid!.Times[0].Should().Be(expected);

    [Theory]
    [InlineData("sde-dpmsolver")]
    [InlineData("sde-dpmsolver++")]
    public void A_stochastic_grid_may_end_at_its_least_level_again(string algorithm)
    {
        var settings = $$"""{"algorithm_type": "{{algorithm}}", "use_exponential_sigmas": true, "final_sigmas_type": "sigma_min"}""";

        var levels = Create("DPMSolverMultistepScheduler", settings, 5).Sampler.Grid!.Levels;

        levels[^1].Should().Be(levels[^2]);
    }

    [Fact]
    public void The_middle_of_an_odd_stride_is_another_index_from_above_than_from_below()
    {
        var grid = Create("PNDMScheduler", "{}", 12).Sampler.Grid!;

        grid.Times[..9].ToArray().Should().Equal(913, 871, 871, 830, 830, 788, 788, 747, 747);
        grid.Levels[1].Should().Be(grid.Schedule.LevelAt(913 - 41));
        grid.Levels[2].Should().Be(grid.Schedule.LevelAt(830 + 41));
    }

    [Fact]
    public void The_switches_of_the_solvers_are_read()
    {
        var multistep = Solver<DpmMultistepSolver>(
            "DPMSolverMultistepScheduler",
            """
            {"solver_order": 3, "algorithm_type": "sde-dpmsolver", "solver_type": "heun", "final_sigmas_type": "sigma_min", "euler_at_final": true,
             "lower_order_final": false}
            """);
        (multistep.Order, multistep.AlgorithmType, multistep.Tau, multistep.Heun).Should().Be((3, AlgorithmType.NoisePrediction, 1.0, true));
        (multistep.EulerAtFinal, multistep.LowerOrderFinal, multistep.IsCorrected).Should().Be((true, false, false));
        var singlestep = Solver<DpmSinglestepSolver>("DPMSolverSinglestepScheduler", """{"solver_order": 3, "lower_order_final": true}""");
        (singlestep.Order, singlestep.AlgorithmType, singlestep.LowerOrderFinal).Should().Be((3, AlgorithmType.DataPrediction, true));
        var uniPc = Solver<UniPcSolver>("UniPCMultistepScheduler", """{"solver_order": 3, "predict_x0": false, "final_sigmas_type": "sigma_min"}""");
        (uniPc.Order, uniPc.AlgorithmType).Should().Be((3, AlgorithmType.NoisePrediction));
        var sa = Solver<SaSolver>("SASolverScheduler", """{"predictor_order": 3, "corrector_order": 4, "algorithm_type": "noise_prediction"}""");
        (sa.PredictorOrder, sa.CorrectorOrder, sa.AlgorithmType).Should().Be((3, 4, AlgorithmType.NoisePrediction));
        Solver<PndmSolver>("PNDMScheduler", "{}").RungeKuttaStart.Should().BeTrue();
    }

    [Theory]
    [Trait(Category.Name, Category.Fault)]
    [InlineData("DPMSolverMultistepScheduler", "algorithm_type")]
    [InlineData("DPMSolverMultistepScheduler", "solver_type")]
    [InlineData("DPMSolverMultistepScheduler", "final_sigmas_type")]
    [InlineData("DPMSolverSinglestepScheduler", "prediction_type")]
    [InlineData("UniPCMultistepScheduler", "solver_type")]
    [InlineData("SASolverScheduler", "algorithm_type")]
    [InlineData("EDMDPMSolverMultistepScheduler", "sigma_schedule")]
    [InlineData("EDMDPMSolverMultistepScheduler", "final_sigmas_type")]
    [InlineData("EDMDPMSolverMultistepScheduler", "prediction_type")]
    public void A_setting_that_is_not_known_is_refused_by_name(string scheduler, string setting)
    {
        var create = () => Create(scheduler, $$"""{"{{setting}}": "other"}""", 5);

        create.Should().Throw<NotSupportedException>().WithMessage($"*{setting}*other*");
    }

    private static T Solver<T>(string scheduler, string settings)
        where T : ISolver
        => Create(scheduler, settings, 10).Sampler.Solver.Should().BeOfType<T>().Subject;

    private static DiffusersSampler Create(string scheduler, string settings, int steps)
        => DiffusersScheduler.Create(SchedulerConfig.Parse(settings, scheduler), new SchedulerCall { Steps = steps });
}
