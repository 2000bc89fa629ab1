using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

public class SigmaMappingTests
{
    private const string Linear = "\"num_train_timesteps\": 1100, \"beta_start\": 0.0001, \"beta_end\": 0.02, \"beta_schedule\": \"linear\"";

    /// <summary>
    /// The sums that diffusers' own tests expect of ten steps from a ramp, with the model x t / (t + 1). Those tests scale the sample itself
    /// and not only what the model is given, which is repeated here.
    /// </summary>
    [Theory]
    [InlineData("EulerDiscreteScheduler", Linear, 10.0807)]
    [InlineData("EulerDiscreteScheduler", Linear + ", \"use_karras_sigmas\": true", 124.52299499511719)]
    [InlineData("LMSDiscreteScheduler", Linear, 1006.388)]
    [InlineData("LMSDiscreteScheduler", Linear + ", \"use_karras_sigmas\": true", 3812.9927)]
    [InlineData("KDPM2DiscreteScheduler", Linear, 20.4125)]
    public void Ten_steps_have_the_sum_of_diffusers_own_tests(string name, string settings, double expected)
    {
        var mapped = DiffusersScheduler.Create(SchedulerConfig.Parse($"{{{settings}}}", name), new SchedulerCall { Steps = 10 });
        var grid = mapped.Sampler.Grid!;
        var isTwoStage = name.StartsWith("KDPM2", StringComparison.Ordinal);
        var (calls, index) = (0, 0);
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            var isStage = isTwoStage && calls++ % 2 == 1;
            var time = t.Values()[0];
            return x.mul(time / (time + 1.0) / (isStage ? 1.0 : grid.Levels[index].Alpha));
        });
        using var model = mapped.CreateModel(denoiser);
        var start = grid.Levels[0];
        using var first = Ramp(start.NoiseToSignalRatio * start.Alpha * start.Alpha);
        var request = new SamplingRequest
        {
            Shape = [768],
            InitialSample = first,
            OnStep = state => state.Sample.mul(grid.Levels[index = state.Step].Alpha),
        };
        using var result = mapped.Sampler.Sample(model, request, cancellationToken: TestContext.Current.CancellationToken);

        result.Values().Sum(Math.Abs).Should().BeApproximately(expected, 1e-3 * expected);
    }

    [Fact]
    public void EDM_has_the_sum_of_diffusers_own_test()
    {
        var config = SchedulerConfig.Parse("{\"num_train_timesteps\": 256, \"sigma_min\": 0.002, \"sigma_max\": 80.0}", "EDMEulerScheduler");
        using var first = Ramp(Math.Sqrt((80.0 * 80.0) + 1.0));
        var mapped = DiffusersScheduler.Create(config, new SchedulerCall { Steps = 10 });
        using var model = mapped.CreateModel(new FunctionDenoiser((x, t, _) => x.mul(t.Values()[0] / (t.Values()[0] + 1.0))));
        using var result = mapped.Sampler.Sample(
            model,
            new SamplingRequest { Shape = [768], InitialSample = first },
            cancellationToken: TestContext.Current.CancellationToken);

        result.Values().Sum(Math.Abs).Should().BeApproximately(34.1855, 1e-3);
    }

    [Fact]
    public void Sigmas_of_a_call_end_with_the_last_level()
    {
        var config = SchedulerConfig.Parse("{\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"beta_end\": 0.012}", "EulerDiscreteScheduler");
        var grid = DiffusersScheduler.Create(config, new SchedulerCall { Sigmas = [14.0, 3.0, 0.5, 0.0] }).Sampler.Grid!;

        grid.Count.Should().Be(3);
        grid.Levels.ToArray().Select(level => Math.Round(level.NoiseToSignalRatio, 9)).Should().Equal(14.0, 3.0, 0.5, 0.0);
        grid.Schedule.LevelAt(grid.Times[1]).NoiseToSignalRatio.Should().BeApproximately(3.0, 1e-4);
    }

    [Fact]
    public void Continuous_times_are_a_quarter_of_log_sigma_for_networks_that_predict_v()
    {
        const string Settings = "\"use_karras_sigmas\": true, \"sigma_min\": 0.002, \"sigma_max\": 700.0, \"timestep_type\": \"continuous\"";
        Prediction Predicted(string prediction, out TimeGrid grid)
        {
            var config = SchedulerConfig.Parse($"{{{Settings}, \"prediction_type\": \"{prediction}\"}}", "EulerDiscreteScheduler");
            var mapped = DiffusersScheduler.Create(config, new SchedulerCall { Steps = 25 });
            grid = mapped.Sampler.Grid!;
            return mapped.Prediction;
        }

        var velocity = Predicted("v_prediction", out var told);
        told.Levels[0].Should().Be(new NoiseLevel(1.0, told.Levels[0].Sigma));
        told.Levels[0].Sigma.Should().BeApproximately(700.0, 1e-4);
        told.Levels[24].Sigma.Should().BeApproximately(0.002, 1e-9);
        told.Times[0].Should().BeApproximately(0.25 * Math.Log(700.0), 1e-7);
        told.Levels[^1].Should().Be(NoiseLevel.Clean);

        // x_0 = x / (s^2 + 1) - F s / sqrt(s^2 + 1), of an input x / sqrt(s^2 + 1).
        var pair = velocity.ToX0(new NoiseLevel(1.0, 3.0), new NoiseLevel(1.0, 3.0));
        pair.First.Should().BeApproximately(0.1, 1e-15);
        pair.Second.Should().BeApproximately(-3.0 / Math.Sqrt(10.0), 1e-15);
        velocity.InputScale!(new NoiseLevel(1.0, 3.0)).Should().BeApproximately(1.0 / Math.Sqrt(10.0), 1e-15);

        Predicted("epsilon", out var discrete).Should().BeSameAs(Prediction.Epsilon);
        discrete.Times[0].Should().Be(999.0);
    }

    [Fact]
    public void A_log_linear_grid_has_equal_steps_of_the_whole_schedule()
    {
        var config = SchedulerConfig.Parse("{\"interpolation_type\": \"log_linear\"}", "EulerDiscreteScheduler");
        var grid = DiffusersScheduler.CreateSampler(config, 5).Grid!;
        var schedule = DiffusersScheduler.CreateSchedule(SchedulerConfig.Parse("{}", "EulerDiscreteScheduler"));
        var (most, least) = (Math.Log(schedule.LevelAt(999).NoiseToSignalRatio), Math.Log(schedule.LevelAt(0).NoiseToSignalRatio));
        for (var k = 0; k <= 5; k++)
            Math.Log(grid.Levels[k].NoiseToSignalRatio).Should().BeApproximately(most + ((least - most) * k / 5.0), 1e-4);
    }

    [Theory]
    [InlineData("\"shift\": 3.0", 0.8571428571428571)]
    [InlineData("\"shift\": 1.0, \"shift_terminal\": 0.1", 0.7)]
    [InlineData("\"use_dynamic_shifting\": true, \"time_shift_type\": \"linear\"", 0.8)]
    public void Times_of_flow_matching_are_shifted(string settings, double expected)
    {
        var config = SchedulerConfig.Parse($"{{{settings}}}", "FlowMatchEulerDiscreteScheduler");
        var call = new SchedulerCall { Sigmas = [1.0, 2.0 / 3.0, 1.0 / 3.0 * 0.3], Mu = 2.0 };
        var grid = DiffusersScheduler.Create(config, call).Sampler.Grid!;

        grid.Times[0].Should().Be(1000.0);
        grid.Levels[1].Sigma.Should().BeApproximately(grid.Times[1] / 1000.0, 1e-12);
        if (settings.Contains("terminal", StringComparison.Ordinal))
            grid.Levels[2].Sigma.Should().BeApproximately(0.1, 1e-12);
        else
            grid.Levels[1].Sigma.Should().BeApproximately(expected, 1e-12);
    }

    [Theory]
    [InlineData("EulerDiscreteScheduler", "\"timestep_type\": \"other\"")]
    [InlineData("EulerDiscreteScheduler", "\"interpolation_type\": \"cubic\"")]
    [InlineData("EDMEulerScheduler", "\"sigma_schedule\": \"linear\"")]
    [InlineData("EDMEulerScheduler", "\"prediction_type\": \"sample\"")]
    [InlineData("EDMEulerScheduler", "\"final_sigmas_type\": \"one\"")]
    [InlineData("DDIMScheduler", "\"thresholding\": true, \"sample_max_value\": 0.8")]
    [InlineData("PNDMScheduler", "\"timestep_spacing\": \"linspace\"")]
    [InlineData("DPMSolverMultistepScheduler", "\"use_flow_sigmas\": true, \"use_karras_sigmas\": true")]
    [InlineData("UniPCMultistepScheduler", "\"use_flow_sigmas\": true, \"use_exponential_sigmas\": true")]
    [InlineData("DPMSolverMultistepInverseScheduler", "\"use_flow_sigmas\": true")]
    [InlineData("FlowMatchEulerDiscreteScheduler", "\"use_dynamic_shifting\": true, \"time_shift_type\": \"cubic\"")]
    [Trait(Category.Name, Category.Fault)]
    public void Settings_that_are_not_known_are_refused(string name, string settings)
    {
        var create = () => DiffusersScheduler.Create(SchedulerConfig.Parse($"{{{settings}}}", name), new SchedulerCall { Steps = 4, Mu = 1.0 });

        create.Should().Throw<NotSupportedException>().WithMessage($"*{name}*");
    }

    [Theory]
    [InlineData("FlowMatchEulerDiscreteScheduler", "\"invert_sigmas\": true", 4, new[] { 0.0, 0.333, 0.666, 0.999, 1.0 })]
    [InlineData("FlowMatchEulerDiscreteScheduler", "\"shift\": 3.0, \"use_karras_sigmas\": true", 1, new[] { 1.0, 0.0 })]
    [InlineData("UniPCMultistepScheduler", "\"use_flow_sigmas\": true, \"shift_terminal\": 0.2", 2, new[] { 0.999999, 0.2, 0.0 })]
    [InlineData(
        "UniPCMultistepScheduler",
        "\"use_flow_sigmas\": true, \"use_dynamic_shifting\": true, \"time_shift_type\": \"linear\"",
        2,
        new[] { 0.999999, 0.66711096, 0.0 })]
    [InlineData("UniPCMultistepScheduler", "\"use_flow_sigmas\": true, \"use_karras_sigmas\": true", 2, new[] { 0.99368715, 0.0099015, 0.0 })]
    public void Straight_lines_are_those_of_diffusers(string name, string settings, int steps, double[] sigmas)
    {
        var config = SchedulerConfig.Parse($"{{{settings}}}", name);
        var grid = DiffusersScheduler.Create(config, new SchedulerCall { Steps = steps, Mu = 2.0 }).Sampler.Grid!;

        grid.Levels.Length.Should().Be(steps + 1);
        for (var k = 0; k <= steps; k++)
        {
            grid.Levels[k].Sigma.Should().BeApproximately(sigmas[k], 1e-6);
            grid.Levels[k].Alpha.Should().BeApproximately(1.0 - sigmas[k], 1e-6);
        }
    }

    [Fact]
    public void Whole_times_of_a_straight_line_are_rounded_as_by_numpy()
    {
        var config = SchedulerConfig.Parse("{\"use_flow_sigmas\": true}", "UniPCMultistepScheduler");

        DiffusersScheduler.CreateSampler(config, 9).Grid!.Times[6].Should().Be(333.0, "1 - 6 * 0.999 / 9 comes out just below 0.334");
    }

    [Theory]
    [InlineData("LCMScheduler", 3, 40, 1.0, new[] { 999.0, 674.0, 349.0 })]
    [InlineData("LCMScheduler", 4, null, 0.5, new[] { 499.0, 379.0, 259.0, 139.0 })]
    [InlineData("TCDScheduler", 2, 20, 0.8, new[] { 799.0, 399.0 })]
    public void Distilled_networks_take_the_times_of_a_call(string name, int steps, int? original, double strength, double[] times)
    {
        var call = new SchedulerCall { Steps = steps, OriginalInferenceSteps = original, Strength = strength };

        DiffusersScheduler.Create(SchedulerConfig.Parse("{}", name), call).Sampler.Grid!.Times.ToArray().Should().Equal(times);
    }

    [Theory]
    [InlineData("EDMDPMSolverMultistepScheduler", 0.002)]
    [InlineData("EDMEulerScheduler", 80.0)]
    public void A_single_Karras_step_of_EDM_ends_where_its_scheduler_says(string name, double end)
    {
        var grid = DiffusersScheduler.CreateSampler(SchedulerConfig.Parse("{\"final_sigmas_type\": \"sigma_min\"}", name), 1).Grid!;

        grid.Levels[0].Sigma.Should().BeApproximately(80.0, 1e-9);
        grid.Levels[1].Sigma.Should().BeApproximately(end, 1e-9);
    }

    [Theory]
    [InlineData("interpolation_type\": \"log_linear")]
    [InlineData("prediction_type\": \"v_prediction")]
    [Trait(Category.Name, Category.Fault)]
    public void Churn_is_refused_where_diffusers_reads_it_otherwise(string setting)
    {
        var config = SchedulerConfig.Parse($"{{\"{setting}\"}}", "EulerDiscreteScheduler");
        var create = () => DiffusersScheduler.Create(config, new SchedulerCall { Steps = 4, SChurn = 1.0 });

        create.Should().Throw<NotSupportedException>().WithMessage("*s_churn*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Calls_that_do_not_fit_are_refused()
    {
        foreach (var (name, settings, call) in new (string, string, SchedulerCall)[]
        {
            ("LCMScheduler", "", new SchedulerCall { Steps = 51 }),
            ("LCMScheduler", "\"original_inference_steps\": 2000", new SchedulerCall { Steps = 4 }),
            ("CMStochasticIterativeScheduler", "", new SchedulerCall { Steps = 41 }),
            ("FlowMatchEulerDiscreteScheduler", "\"use_dynamic_shifting\": true", new SchedulerCall { Steps = 4 }),
        })
        {
            var create = () => DiffusersScheduler.Create(SchedulerConfig.Parse($"{{{settings}}}", name), call);
            create.Should().Throw<ArgumentException>();
        }
    }

    /// <summary>768 values from 0 on, in equal steps below the given one.</summary>
    private static Tensor Ramp(double end) => tensor(Enumerable.Range(0, 768).Select(i => end * i / 768.0).ToArray());
}
