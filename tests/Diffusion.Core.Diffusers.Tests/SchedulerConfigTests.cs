using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

public class SchedulerConfigTests
{
    [Fact]
    public void A_file_gives_its_class_and_its_settings()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("scheduler_config.json");
        File.WriteAllText(path, """
            {
              "_class_name": "DDIMScheduler",
              "_diffusers_version": "0.31.0",
              "beta_schedule": "linear",
              "clip_sample": false,
              "sample_max_value": Infinity,
              "num_train_timesteps": 500,
              "trained_betas": null
            }
            """);

        var config = SchedulerConfig.Read(path);

        config.ClassName.Should().Be("DDIMScheduler");
        config.Whole("num_train_timesteps", 1000).Should().Be(500);
        config.Text("beta_schedule", "?").Should().Be("linear");
        config.Flag("clip_sample", true).Should().BeFalse();
        config.Number("sample_max_value", 0.0).Should().Be(double.PositiveInfinity);
        config.Numbers("trained_betas").Should().BeNull("null is as good as missing");
        config.Number("beta_end", 5.0).Should().Be(0.02, "a missing setting has the default of the class");
        DiffusersScheduler.CreateSampler(config, 25).Grid!.Count.Should().Be(25);
    }

    [Theory]
    [InlineData("{\"a\": ", "*JSON*")]
    [InlineData("[1, 2]", "*object*Array*")]
    [InlineData("{\"a\": 1}", "*_class_name*")]
    [InlineData("{\"_class_name\": 5}", "*_class_name*")]
    [Trait(Category.Name, Category.Fault)]
    public void What_is_not_a_configuration_is_refused(string json, string message)
        => ((Action)(() => SchedulerConfig.Parse(json))).Should().Throw<InvalidDataException>().WithMessage(message);

    [Theory]
    [InlineData("\"num_train_timesteps\": \"many\"", "*'num_train_timesteps'*whole number*\"many\"*")]
    [InlineData("\"num_train_timesteps\": 10.5", "*'num_train_timesteps'*whole number*10.5*")]
    [InlineData("\"beta_start\": true", "*'beta_start'*number*true*")]
    [InlineData("\"clip_sample\": 1", "*'clip_sample'*true or false*1*")]
    [InlineData("\"beta_schedule\": 3", "*'beta_schedule'*text*3*")]
    [InlineData("\"trained_betas\": [0.1, \"b\"]", "*'trained_betas'*list*")]
    [Trait(Category.Name, Category.Fault)]
    public void A_setting_of_the_wrong_type_is_refused_by_name(string setting, string message)
    {
        var config = SchedulerConfig.Parse($"{{{setting}}}", "DDIMScheduler");
        ((Action)(() => DiffusersScheduler.CreateSampler(config, 10))).Should().Throw<InvalidDataException>().WithMessage(message);
    }

    [Theory]
    [InlineData("DDIMScheduler", "\"beta_schedule\": \"cubic\"", "*beta_schedule 'cubic'*")]
    [InlineData("DDIMScheduler", "\"prediction_type\": \"noise\"", "*prediction_type 'noise'*")]
    [InlineData("DDIMScheduler", "\"timestep_spacing\": \"random\"", "*timestep_spacing 'random'*")]
    [InlineData("DDPMScheduler", "\"variance_type\": \"learned\"", "*variance_type 'learned'*")]
    [InlineData("VQDiffusionScheduler", "", "*'VQDiffusionScheduler' is not known*DDIMScheduler*")]
    [Trait(Category.Name, Category.Fault)]
    public void A_value_that_is_not_known_is_refused_by_name(string scheduler, string setting, string message)
    {
        var config = SchedulerConfig.Parse($"{{{setting}}}", scheduler);
        ((Action)(() => DiffusersScheduler.CreateSampler(config, 10))).Should().Throw<NotSupportedException>().WithMessage(message);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_schedule_without_terminal_signal_is_refused_to_a_network_that_predicts_eps()
    {
        const string Settings = "\"rescale_betas_zero_snr\": true, \"timestep_spacing\": \"trailing\"";
        var network = new FunctionDenoiser(x => x.clone());
        var mapped = DiffusersScheduler.Create(SchedulerConfig.Parse($"{{{Settings}}}", "DDIMScheduler"), new SchedulerCall { Steps = 10 });
        using var model = mapped.CreateModel(network);
        var eps = () => mapped.Sampler.Steps(model, new SamplingRequest { Shape = [1, 2] });
        eps.Should().Throw<ArgumentException>().WithMessage("*epsilon*does not determine x_0*");

        var v = SchedulerConfig.Parse($"{{{Settings}, \"prediction_type\": \"v_prediction\"}}", "DDIMScheduler");
        DiffusersScheduler.CreateSampler(v, 10).Grid!.Levels[0].Alpha.Should().Be(0.0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_call_says_in_one_way_how_many_steps_there_are()
    {
        var config = SchedulerConfig.Parse("{}", "DDIMScheduler");
        foreach (var call in new[] { new SchedulerCall(), new SchedulerCall { Steps = 3, Timesteps = [5, 3, 1] } })
            ((Action)(() => DiffusersScheduler.Create(config, call))).Should().Throw<ArgumentException>().WithMessage("*Exactly one*");
        ((Action)(() => DiffusersScheduler.CreateSampler(config, 0))).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void Schedules_are_those_that_diffusers_has_in_single_precision()
    {
        var schedule = DiffusersScheduler.CreateSchedule(SchedulerConfig.Parse("{\"beta_schedule\": \"squaredcos_cap_v2\"}", "DDPMScheduler"));

        // The last factors of the product are 1 - 0.999 in float32, a relative 5e-5 off.
        schedule.AlphaBars[999].Should().BeApproximately(2.42877e-9, 2e-13);
        foreach (var bar in schedule.AlphaBars)
            bar.Should().BeApproximately((float)bar, 1e-12 * bar);
    }
}
