using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>DPM-Solver++ over EDM's process and grid, for networks with EDM's preconditioning.</summary>
internal sealed class EdmDpmMapping : ISchedulerMapping
{
    public string ClassName => "EDMDPMSolverMultistepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var (least, most) = (config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0));
        var kind = config.Text("sigma_schedule", "karras");
        var spacing = kind switch
        {
            "karras" => RatioSpacing.Karras(config.Number("rho", 7.0)),
            "exponential" => RatioSpacing.Exponential(),
            _ => throw config.Unknown("sigma_schedule", kind),
        };
        var grid = spacing.CreateGrid(new EdmSchedule(least, most), call.Count());
        var final = config.Text("final_sigmas_type", "zero");
        grid = final switch
        {
            "zero" => grid,
            "sigma_min" => grid.WithFinalLevel(new NoiseLevel(1.0, least)),
            _ => throw config.Unknown("final_sigmas_type", final),
        };
        var data = config.Number("sigma_data", 0.5);
        var prediction = config.Text("prediction_type", "epsilon");
        var options = MappedOptions.Of(config) with
        {
            Prediction = prediction switch
            {
                "epsilon" => Prediction.Edm(data),
                "v_prediction" => Prediction.EdmVelocity(data),
                _ => throw config.Unknown("prediction_type", prediction),
            },
            InitialScale = Math.Sqrt((most * most) + 1.0),
        };
        return new(new DiffusionSampler(grid, DpmFamily.Multistep(config), options));
    }
}
