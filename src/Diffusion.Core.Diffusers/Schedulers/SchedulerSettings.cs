using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The settings of each class of schedulers in diffusers 0.40, which are the parameters of its constructor, with their defaults. A
/// configuration can contain settings of other classes, which <c>from_config</c> ignores.
/// </summary>
internal static class SchedulerSettings
{
    private static readonly (string Name, JsonNode? Default)[] _thresholding =
        [("thresholding", false), ("dynamic_thresholding_ratio", 0.995), ("sample_max_value", 1.0)];

    private static readonly (string Name, JsonNode? Default)[] _sigmas =
        [("use_karras_sigmas", false), ("use_exponential_sigmas", false), ("use_beta_sigmas", false)];

    private static readonly (string Name, JsonNode? Default)[] _flow = [("use_flow_sigmas", false), ("flow_shift", 1.0)];

    private static readonly (string Name, JsonNode? Default)[] _dynamicShift =
        [("use_dynamic_shifting", false), ("time_shift_type", "exponential")];

    private static readonly (string Name, JsonNode? Default)[] _zeroTerminalSnr = [("rescale_betas_zero_snr", false)];

    // The default of lambda_min_clipped is negative infinity, which JSON does not have.
    private static readonly (string Name, JsonNode? Default)[] _dpm =
    [
        .. Trained(), ("solver_order", 2), ("prediction_type", "epsilon"), .. _thresholding, ("algorithm_type", "dpmsolver++"),
        ("solver_type", "midpoint"), .. _sigmas, .. _flow, ("lambda_min_clipped", null), ("variance_type", null),
    ];

    private static readonly (string Name, JsonNode? Default)[] _edm =
    [
        ("num_train_timesteps", 1000), ("prediction_type", "epsilon"), ("sigma_min", 0.002), ("sigma_max", 80.0), ("sigma_data", 0.5),
        ("sigma_schedule", "karras"), ("rho", 7.0), ("final_sigmas_type", "zero"),
    ];

    private static readonly (string Name, JsonNode? Default)[] _distilled =
    [
        .. Trained(0.00085, 0.012, "scaled_linear"), ("prediction_type", "epsilon"), ("original_inference_steps", 50), .. Clipping(false),
        ("set_alpha_to_one", true), .. Spacing("leading"), .. _thresholding, ("timestep_scaling", 10.0), .. _zeroTerminalSnr,
    ];

    private static readonly Dictionary<string, Dictionary<string, JsonNode?>> _classes = new(StringComparer.Ordinal)
    {
        ["CMStochasticIterativeScheduler"] = Of(
            ("num_train_timesteps", 40), ("sigma_min", 0.002), ("sigma_max", 80.0), ("sigma_data", 0.5), ("s_noise", 1.0), ("rho", 7.0),
            ("clip_denoised", true)),
        ["DDIMInverseScheduler"] = Of(
            [.. Trained(), ("prediction_type", "epsilon"), .. Clipping(true), ("set_alpha_to_one", true), .. Spacing("leading"), .. _zeroTerminalSnr]),
        ["DDIMScheduler"] = Of(
        [
            .. Trained(), ("prediction_type", "epsilon"), .. Clipping(true), ("set_alpha_to_one", true), .. Spacing("leading"), .. _thresholding,
            .. _zeroTerminalSnr,
        ]),
        ["DDPMScheduler"] = Of(
        [
            .. Trained(), ("prediction_type", "epsilon"), ("variance_type", "fixed_small"), .. Clipping(true), .. Spacing("leading"),
            .. _thresholding, .. _zeroTerminalSnr,
        ]),
        ["DEISMultistepScheduler"] = Of(
        [
            .. Trained(), ("solver_order", 2), ("prediction_type", "epsilon"), .. _thresholding, ("algorithm_type", "deis"),
            ("solver_type", "logrho"), ("lower_order_final", true), .. _sigmas, .. _flow, .. _dynamicShift, .. Spacing("linspace"),
        ]),
        ["DPMSolverMultistepInverseScheduler"] = Of(
            [.. _dpm, ("lower_order_final", true), ("euler_at_final", false), .. Spacing("linspace")]),
        ["DPMSolverMultistepScheduler"] = Of(
        [
            .. _dpm, ("lower_order_final", true), ("euler_at_final", false), ("use_lu_lambdas", false), ("final_sigmas_type", "zero"),
            .. Spacing("linspace"), .. _zeroTerminalSnr, .. _dynamicShift,
        ]),
        ["DPMSolverSinglestepScheduler"] = Of([.. _dpm, ("lower_order_final", false), ("final_sigmas_type", "zero"), .. _dynamicShift]),
        ["EDMDPMSolverMultistepScheduler"] = Of(
        [
            .. _edm, ("solver_order", 2), .. _thresholding, ("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint"),
            ("lower_order_final", true), ("euler_at_final", false),
        ]),
        ["EDMEulerScheduler"] = Of(_edm),
        ["EulerAncestralDiscreteScheduler"] = Of([.. Trained(), ("prediction_type", "epsilon"), .. Spacing("linspace"), .. _zeroTerminalSnr]),
        ["EulerDiscreteScheduler"] = Of(
        [
            .. Trained(), ("prediction_type", "epsilon"), ("interpolation_type", "linear"), .. _sigmas, ("sigma_min", null), ("sigma_max", null),
            .. Spacing("linspace"), ("timestep_type", "discrete"), .. _zeroTerminalSnr, ("final_sigmas_type", "zero"),
        ]),
        ["FlowMatchEulerDiscreteScheduler"] = Of(
        [
            ("num_train_timesteps", 1000), ("shift", 1.0), .. _dynamicShift, ("base_shift", 0.5), ("max_shift", 1.15),
            ("base_image_seq_len", 256), ("max_image_seq_len", 4096), ("invert_sigmas", false), ("shift_terminal", null), .. _sigmas,
            ("stochastic_sampling", false),
        ]),
        ["FlowMatchHeunDiscreteScheduler"] = Of(("num_train_timesteps", 1000), ("shift", 1.0)),
        ["HeunDiscreteScheduler"] = Of(
            [.. Trained(0.00085, 0.012), ("prediction_type", "epsilon"), .. _sigmas, .. Clipping(false), .. Spacing("linspace")]),
        ["IPNDMScheduler"] = Of(("num_train_timesteps", 1000), ("trained_betas", null)),
        ["KDPM2AncestralDiscreteScheduler"] = Of([.. Trained(0.00085, 0.012), ("prediction_type", "epsilon"), .. _sigmas, .. Spacing("linspace")]),
        ["KDPM2DiscreteScheduler"] = Of([.. Trained(0.00085, 0.012), ("prediction_type", "epsilon"), .. _sigmas, .. Spacing("linspace")]),
        ["LCMScheduler"] = Of(_distilled),
        ["LMSDiscreteScheduler"] = Of([.. Trained(), ("prediction_type", "epsilon"), .. _sigmas, .. Spacing("linspace")]),
        ["PNDMScheduler"] = Of(
            [.. Trained(), ("prediction_type", "epsilon"), ("skip_prk_steps", false), ("set_alpha_to_one", false), .. Spacing("leading")]),
        ["SASolverScheduler"] = Of(
        [
            .. Trained(), ("predictor_order", 2), ("corrector_order", 2), ("prediction_type", "epsilon"), ("tau_func", null), .. _thresholding,
            ("algorithm_type", "data_prediction"), ("lower_order_final", true), .. _sigmas, .. _flow, ("lambda_min_clipped", null),
            ("variance_type", null), .. Spacing("linspace"),
        ]),
        ["TCDScheduler"] = Of(_distilled),
        ["UnCLIPScheduler"] = Of(
        [
            ("num_train_timesteps", 1000), ("variance_type", "fixed_small_log"), .. Clipping(true), ("prediction_type", "epsilon"),
            ("beta_schedule", "squaredcos_cap_v2"),
        ]),
        ["UniPCMultistepScheduler"] = Of(
        [
            .. Trained(), ("solver_order", 2), ("prediction_type", "epsilon"), .. _thresholding, ("predict_x0", true), ("solver_type", "bh2"),
            ("lower_order_final", true), ("disable_corrector", new JsonArray()), ("solver_p", null), .. _sigmas, .. _flow, .. Spacing("linspace"),
            ("final_sigmas_type", "zero"), .. _zeroTerminalSnr, .. _dynamicShift, ("sigma_min", null), ("sigma_max", null),
            ("shift_terminal", null),
        ]),
    };

    private static readonly HashSet<string> _known = [.. _classes.Values.SelectMany(settings => settings.Keys)];

    /// <summary>Returns the settings of a class with their defaults; null for a class that is not known.</summary>
    public static IReadOnlyDictionary<string, JsonNode?>? Find(string className) => _classes.GetValueOrDefault(className);

    /// <summary>Whether any class has a setting of this name.</summary>
    public static bool IsKnown(string name) => _known.Contains(name);

    private static (string Name, JsonNode? Default)[] Trained(double start = 0.0001, double end = 0.02, string schedule = "linear") =>
        [("num_train_timesteps", 1000), ("beta_start", start), ("beta_end", end), ("beta_schedule", schedule), ("trained_betas", null)];

    private static (string Name, JsonNode? Default)[] Clipping(bool clips) => [("clip_sample", clips), ("clip_sample_range", 1.0)];

    private static (string Name, JsonNode? Default)[] Spacing(string spacing) => [("timestep_spacing", spacing), ("steps_offset", 0)];

    // A node of JSON has one parent, so that the nodes of shared groups are not added to an object.
    private static Dictionary<string, JsonNode?> Of(params (string Name, JsonNode? Default)[] settings)
        => settings.ToDictionary(setting => setting.Name, setting => setting.Default, StringComparer.Ordinal);
}
