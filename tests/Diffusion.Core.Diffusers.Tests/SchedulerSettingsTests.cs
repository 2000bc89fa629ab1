using System.Text.Json;
using System.Text.Json.Nodes;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Configurations are read as <c>from_config</c> of the class reads them.</summary>
public sealed class SchedulerSettingsTests
{
    /// <summary>Values other than the defaults, for the settings that change what some class samples.</summary>
    private static readonly JsonObject _others = new()
    {
        ["algorithm_type"] = "sde-dpmsolver++",
        ["beta_end"] = 0.01,
        ["beta_schedule"] = "scaled_linear",
        ["beta_start"] = 0.0002,
        ["clip_denoised"] = false,
        ["clip_sample"] = true,
        ["clip_sample_range"] = 0.1,
        ["dynamic_thresholding_ratio"] = 0.5,
        ["euler_at_final"] = true,
        ["final_sigmas_type"] = "sigma_min",
        ["flow_shift"] = 3.0,
        ["interpolation_type"] = "log_linear",
        ["invert_sigmas"] = true,
        ["lambda_min_clipped"] = -2.0,
        ["lower_order_final"] = false,
        ["predict_x0"] = false,
        ["prediction_type"] = "sample",
        ["rescale_betas_zero_snr"] = true,
        ["rho"] = 3.0,
        ["set_alpha_to_one"] = false,
        ["shift"] = 3.0,
        ["shift_terminal"] = 0.1,
        ["sigma_data"] = 0.9,
        ["sigma_max"] = 5.0,
        ["sigma_min"] = 0.1,
        ["sigma_schedule"] = "exponential",
        ["skip_prk_steps"] = true,
        ["solver_order"] = 3,
        ["solver_type"] = "heun",
        ["steps_offset"] = 1,
        ["stochastic_sampling"] = true,
        ["thresholding"] = true,
        ["timestep_spacing"] = "trailing",
        ["timestep_type"] = "continuous",
        ["use_beta_sigmas"] = true,
        ["use_dynamic_shifting"] = true,
        ["use_exponential_sigmas"] = true,
        ["use_flow_sigmas"] = true,
        ["use_karras_sigmas"] = true,
        ["use_lu_lambdas"] = true,
        ["variance_type"] = "fixed_large",
    };

    /// <summary>The parameters of the constructors of diffusers 0.40, with their defaults, extracted from its sources.</summary>
    private static readonly JsonObject _diffusers = JsonNode.Parse(
        File.ReadAllText(Path.Combine(TestData.Root, "tests", "Diffusion.Core.Diffusers.Tests", "scheduler-settings.json")))!.AsObject();

    public static TheoryData<string> Classes => [.. DiffusersScheduler.ClassNames];

    [Theory]
    [MemberData(nameof(Classes))]
    public void The_settings_of_a_class_and_their_defaults_are_those_of_diffusers(string className)
    {
        var expected = _diffusers[className]!.AsObject();

        var actual = SchedulerSettings.Find(className)!;

        actual.Keys.Order().Should().Equal(expected.Select(pair => pair.Key).Order());
        foreach (var (name, value) in expected)
            JsonNode.DeepEquals(actual[name] is { } own ? JsonSerializer.SerializeToNode(own) : null, value).Should().BeTrue(name);
    }

    [Theory]
    [MemberData(nameof(Classes))]
    public void Settings_of_other_classes_change_nothing(string className)
    {
        using var scope = NewDisposeScope();
        var expected = Sample(new JsonObject(), className);
        foreach (var (name, value) in _others.Where(pair => !_diffusers[className]!.AsObject().ContainsKey(pair.Key)))
        {
            var config = new JsonObject { [name] = value!.DeepClone() };

            Sample(config, className).ShouldBeIdentical(expected, name);
            SchedulerConfig.Parse(config.ToJsonString(), className).IgnoredSettings.Should().Equal(name);
        }
    }

    /// <summary>Every value that is tried above changes the samples of some class.</summary>
    [Fact]
    public void Settings_of_the_class_change_something()
    {
        using var scope = NewDisposeScope();
        var effective = new HashSet<string>();
        foreach (var className in DiffusersScheduler.ClassNames)
        {
            var expected = Sample(new JsonObject(), className).Values();
            foreach (var (name, value) in _others.Where(pair => _diffusers[className]!.AsObject().ContainsKey(pair.Key)))
            {
                try
                {
                    var settings = Enabling(name);
                    var before = settings.Count == 0 ? expected : Sample(settings, className).Values();
                    settings[name] = value!.DeepClone();
                    if (!Sample(settings, className).Values().SequenceEqual(before))
                        effective.Add(name);
                }
                catch (Exception e) when (e is NotSupportedException or ArgumentException)
                {
                    // A value that the class refuses was read.
                    effective.Add(name);
                }
            }
        }

        _others.Select(pair => pair.Key).Except(effective).Should().BeEmpty();
    }

    [Theory]
    [InlineData("HeunDiscreteScheduler", "beta_start", 0.00085)]
    [InlineData("KDPM2AncestralDiscreteScheduler", "beta_end", 0.012)]
    [InlineData("CMStochasticIterativeScheduler", "num_train_timesteps", 40)]
    [InlineData("DDIMScheduler", "beta_end", 0.02)]
    [InlineData("FlowMatchHeunDiscreteScheduler", "beta_end", -1.0)]
    public void A_missing_setting_has_the_default_of_its_class(string className, string name, double expected)
        => SchedulerConfig.Parse("{}", className).Number(name, -1.0).Should().Be(expected);

    [Fact]
    public void Unknown_settings_are_listed_and_logged_once()
    {
        var logger = new ListLogger();
        var config = SchedulerConfig.Parse(
            """{"beta_shedule": "cosine", "_internal": 1, "use_karras_sigmas": true, "clip_sample": false, "quantization_config": {}}""",
            "DDIMScheduler");

        DiffusersScheduler.CreateSampler(config, 5, logger);

        config.UnknownSettings.Should().Equal("beta_shedule");
        config.IgnoredSettings.Should().Equal("use_karras_sigmas");
        logger.Warnings.Should().ContainSingle().Which.Should().Contain("DDIMScheduler").And.Contain("beta_shedule").And.NotContain("karras");
        config.ToJson().Should().Contain("beta_shedule").And.Contain("use_karras_sigmas");
    }

    /// <summary>Values that a scheduler would only count are refused.</summary>
    [Theory]
    [InlineData("IPNDMScheduler", "{}", true, true)]
    [InlineData("UnCLIPScheduler", "{}", true, true)]
    [InlineData("UniPCMultistepScheduler", """{"use_flow_sigmas": true}""", true, false)]
    [InlineData("DPMSolverMultistepScheduler", "{}", false, true)]
    [InlineData("DPMSolverSinglestepScheduler", "{}", false, true)]
    [InlineData("DEISMultistepScheduler", "{}", false, true)]
    [InlineData("SASolverScheduler", "{}", false, true)]
    [InlineData("UniPCMultistepScheduler", "{}", false, true)]
    [Trait(Category.Name, Category.Fault)]
    public void Custom_values_that_a_scheduler_does_not_use_are_refused(string className, string settings, bool ofTimesteps, bool ofSigmas)
    {
        var config = SchedulerConfig.Parse(settings, className);
        if (ofTimesteps)
            Refused(new SchedulerCall { Timesteps = [900.0, 500.0, 100.0] }, "*custom timesteps*");
        if (ofSigmas)
            Refused(new SchedulerCall { Sigmas = [9.0, 5.0, 1.0] }, "*custom sigmas*");

        void Refused(SchedulerCall call, string message)
            => FluentActions.Invoking(() => DiffusersScheduler.Create(config, call)).Should().Throw<NotSupportedException>().WithMessage(message);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Two_grids_of_sigmas_at_once_are_refused()
        => FluentActions.Invoking(() => DiffusersScheduler.CreateSampler(
                SchedulerConfig.Parse("""{"use_karras_sigmas": true, "use_beta_sigmas": true}""", "EulerDiscreteScheduler"), 5))
            .Should().Throw<ArgumentException>().WithMessage("*EulerDiscreteScheduler*use_karras_sigmas and use_beta_sigmas*");

    /// <summary>The settings without which another one has no effect.</summary>
    private static JsonObject Enabling(string name) => name switch
    {
        "flow_shift" => new() { ["use_flow_sigmas"] = true },
        "dynamic_thresholding_ratio" => new() { ["thresholding"] = true, ["sample_max_value"] = 10.0 },
        "timestep_type" => new() { ["prediction_type"] = "v_prediction" },
        "euler_at_final" => new() { ["final_sigmas_type"] = "sigma_min", ["lower_order_final"] = false },
        "clip_sample_range" => new() { ["clip_sample"] = true },
        _ => [],
    };

    private static Tensor Sample(JsonObject settings, string className)
    {
        var config = SchedulerConfig.Parse(settings.ToJsonString(), className);
        var mapped = DiffusersScheduler.Create(config, new SchedulerCall { Steps = 9 });
        using var model = mapped.CreateModel(new FunctionDenoiser((x, t, _) => x.tanh().mul(3.0).mul(t.to(x.dtype).view(-1, 1).mul(1e-3).add(0.3))));
        return mapped.Sampler.Sample(
            model, new SamplingRequest { Shape = [2, 3], Seed = 3, Dtype = ScalarType.Float64 }, cancellationToken: TestContext.Current.CancellationToken);
    }
}
