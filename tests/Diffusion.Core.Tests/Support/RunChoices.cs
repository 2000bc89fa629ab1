using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Tests.Support;

/// <summary>
/// All that a run can be made of, one line each: what is added here is resumed, with everything else, in <see cref="ResumeChoiceTests"/>.
/// </summary>
internal static class RunChoices
{
    public static IReadOnlyList<RunChoice> Optimizers { get; } =
    [
        new("AdamW", o => o with { Optimizer = new AdamW { WeightDecay = 0.01 } }),
        new("Adam", o => o with { Optimizer = new Adam { WeightDecay = 0.01 } }),
        new("SGD", o => o with { Optimizer = new Sgd { Momentum = 0.0 } }),
        new("SGD, Nesterov", o => o with { Optimizer = new Sgd { Nesterov = true, WeightDecay = 0.01 } }),
        new("SGD, dampened", o => o with { Optimizer = new Sgd { Dampening = 0.3 } }),
        new("Lion", o => o with { Optimizer = new Lion { WeightDecay = 0.01 } }),
        new("Adafactor", o => o with { Optimizer = new Adafactor() }),
        new("Adafactor, relative", o => o with { Optimizer = new Adafactor { Beta1 = 0.9, RelativeStep = true, WeightDecay = 0.01 } }),
    ];

    public static IReadOnlyList<RunChoice> Averages { get; } =
    [
        new("warm-up", o => o with { Ema = EmaDecay.WarmUp(0.999) }),
        new("constant", o => o with { Ema = EmaDecay.Constant(0.9) }),
        new("power", o => o with { Ema = EmaDecay.Power() }),
        new("several", o => o with
        {
            ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99), ["fast"] = EmaDecay.Constant(0.5) },
        }),
    ];

    public static IReadOnlyList<RunChoice> Timesteps { get; } =
    [
        new("uniform", o => o with { Timesteps = new UniformTimesteps() }),
        new("log-normal", o => o with { Timesteps = TimestepSampler.FromDistribution(TimeDistribution.LogitNormal()) }),
        new("stratified", o => o with { Timesteps = TimestepSampler.FromDistribution(draws: UnitDraws.Stratified) }),
        new("learned", o => o with { Timesteps = new LossSecondMomentTimesteps(DiscreteSchedule.Linear(12), historyLength: 2) }),
    ];

    public static IReadOnlyList<RunChoice> Accumulation { get; } =
    [
        new("whole", o => o),
        new("parts", o => o with { MicroBatchSize = 3 }),
        new("one by one", o => o with { MicroBatchSize = 1 }),
    ];

    public static IReadOnlyList<RunChoice> Precisions { get; } =
    [
        new("float32", o => o),
        new("bfloat16", o => o with { Precision = Precision.BFloat16 }),
    ];

    public static IReadOnlyList<RunChoice> Loading { get; } =
    [
        new("ahead", o => o with { Loader = new LoaderOptions { Workers = 2 } }),
        new("in step", o => o with { Loader = new LoaderOptions { Workers = 0 } }),
    ];

    public static IReadOnlyList<RunChoice> Rates { get; } =
    [
        new("warm-up", o => o),
        new("cosine", o => o with { LearningRateSchedule = LearningRateSchedules.Cosine(1e-2, 20, 3) }),
        new("no clipping", o => o with { MaxGradNorm = null }),
    ];

    public static IReadOnlyList<LossChoice> Losses { get; } =
    [
        new("simple", () => new SimpleLoss()),
        new("v, Huber, min-SNR", () => new SimpleLoss(Distance.Huber(), LossWeighting.MinSnr()), Prediction.Velocity),
        new("offset noise", () => new OffsetNoise(new SimpleLoss())),
        new("input perturbation", () => new InputPerturbation(new SimpleLoss())),
        new("bound", () => new VlbLoss()),
        new("hybrid", () => new HybridLoss(), IsTwofold: true),
    ];

    /// <summary>Everything but losses.</summary>
    public static IReadOnlyList<IReadOnlyList<RunChoice>> Dimensions { get; }
        = [Optimizers, Averages, Timesteps, Accumulation, Precisions, Loading, Rates];
}

/// <summary>One way to set an option.</summary>
internal sealed record RunChoice(string Name, Func<TrainerOptions, TrainerOptions> Set);

/// <summary>One loss, what its network predicts, and whether that answers with a variance too.</summary>
internal sealed record LossChoice(string Name, Func<IDiffusionLoss> Make, Prediction? Prediction = null, bool IsTwofold = false)
{
    public DiffusionModel Of(TinyDenoiser network, INoiseSchedule schedule)
        => new(IsTwofold ? new Twofold(network) : network, schedule, Prediction) { LearnsVariance = IsTwofold };
}
