using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The probability flow, solved by the method of Dormand and Prince (RK45) to a tolerance: for flow matching as for any other process,
/// from pure noise or from a level that still holds signal.
/// <c>new ProbabilityFlowSampler(schedule).Sample(denoiser, [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>
/// Steps are in the angle phi = atan(sigma / alpha), in which the flow of <c>z = x / sqrt(alpha^2 + sigma^2)</c> is <c>dz / dphi =
/// cos(phi) eps - sin(phi) x_0</c>: bounded at both ends, and the same on every process. Fifth order, six calls of the network for each
/// step that is tried, and one more for the first.
/// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", section 4.3; Dormand and Prince
/// 1980; Salimans and Ho 2022, appendix D, for the angle.
/// </remarks>
public sealed class ProbabilityFlowSampler : AdaptiveSampler
{
    /// <summary>The flow of a schedule.</summary>
    /// <param name="schedule">
    /// The one the network was trained with; asked for levels between its times, and the network for those times.
    /// </param>
    /// <param name="control">The tolerances and the first step; 1e-5 relative and absolute unless said otherwise.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <param name="startTime">Where to start; the last time of the schedule unless said otherwise.</param>
    /// <param name="endTime">Where the adaptive steps end; the first time of the schedule unless said otherwise.</param>
    /// <param name="endsClean">True for a last step to the x_0 predicted there.</param>
    /// <exception cref="ArgumentException">
    /// An argument lies outside its range, or the prediction does not determine x_0 and eps at the ends.
    /// </exception>
    public ProbabilityFlowSampler(
        INoiseSchedule schedule,
        StepSizeControl? control = null,
        SamplerOptions? options = null,
        double? startTime = null,
        double? endTime = null,
        bool endsClean = true)
        : base(
            schedule,
            control ?? new StepSizeControl { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-5 },
            options,
            startTime,
            endTime,
            endsClean)
    {
    }

    /// <inheritdoc/>
    internal override AdaptiveMethod Begin(IEvaluator evaluator, INoiseSource noise) => new ProbabilityFlowMethod(this, evaluator);
}
