using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>SA-Solver, with the tau that diffusers has where none is given.</summary>
internal sealed class SaMapping : ISchedulerMapping
{
    public string ClassName => "SASolverScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var kind = config.Text("algorithm_type", "data_prediction");
        var form = kind switch
        {
            "data_prediction" => SolverForm.Data,
            "noise_prediction" => SolverForm.Noise,
            _ => throw config.Unknown("algorithm_type", kind),
        };
        var solver = new SaSolver(
            config.Whole("predictor_order", 2),
            config.Whole("corrector_order", 2),
            SaSolver.MiddleTau,
            form,
            config.Flag("lower_order_final", true));
        return new(new DiffusionSampler(DpmFamily.EndingAtLast(config, call), solver, MappedOptions.Of(config)));
    }
}
