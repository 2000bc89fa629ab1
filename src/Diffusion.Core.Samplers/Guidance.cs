using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The guidances of the literature. Each is a denoiser around denoisers, so that samplers know nothing of it and guidances can be nested.
/// </summary>
public static class Guidance
{
    /// <summary>
    /// Classifier-free guidance of a network with class labels, one of which stands for "no class":
    /// <c>none + scale (labelled - none)</c>.
    /// </summary>
    /// <param name="denoiser">The network; not disposed.</param>
    /// <param name="scale">1 for the conditional network alone, 0 for the unconditional one, more for guidance.</param>
    /// <param name="nullLabel">The label that stands for no class.</param>
    /// <param name="options">Refinements.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option lies outside its range.</exception>
    /// <remarks>
    /// Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6, with scale = 1 + w.
    /// </remarks>
    public static GuidedDenoiser ClassifierFree(IDenoiser denoiser, double scale, long nullLabel, GuidanceOptions? options = null)
        => ClassifierFree(
            denoiser,
            scale,
            condition => condition?.Labels is { } labels
                ? new Condition { Labels = labels.FullLike(nullLabel) }
                : throw new ArgumentException("Guidance by labels needs a condition with labels, got none.", nameof(condition)),
            options);

    /// <summary>Classifier-free guidance of any conditional network.</summary>
    /// <param name="denoiser">The network; not disposed.</param>
    /// <param name="scale">1 for the conditional network alone, 0 for the unconditional one, more for guidance.</param>
    /// <param name="unconditional">
    /// From a condition to the one that stands for none, or null; what it makes anew is disposed after the call.
    /// </param>
    /// <param name="options">Refinements.</param>
    /// <inheritdoc cref="ClassifierFree(IDenoiser, double, long, GuidanceOptions?)" path="/exception"/>
    /// <inheritdoc cref="ClassifierFree(IDenoiser, double, long, GuidanceOptions?)" path="/remarks"/>
    public static GuidedDenoiser ClassifierFree(
        IDenoiser denoiser, double scale, Func<Condition?, Condition?> unconditional, GuidanceOptions? options = null)
        => new(denoiser, new ReconditionedDenoiser(denoiser, unconditional), scale, options);

    /// <summary>Autoguidance: a network led away from a worse version of itself, under the same condition.</summary>
    /// <param name="denoiser">The network; not disposed.</param>
    /// <param name="worse">A smaller or less trained network of the same task; not disposed.</param>
    /// <param name="scale">1 for the network alone, more for guidance.</param>
    /// <param name="options">Refinements.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option lies outside its range.</exception>
    /// <remarks>Source: Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself", eq. 3.</remarks>
    public static GuidedDenoiser Auto(IDenoiser denoiser, IDenoiser worse, double scale, GuidanceOptions? options = null)
        => new(denoiser, worse, scale, options);

    /// <summary>Classifier guidance: a network led up the gradient of a classifier of noisy samples.</summary>
    /// <param name="denoiser">The network; not disposed.</param>
    /// <param name="schedule">The schedule of both.</param>
    /// <param name="logProbability">
    /// [B] log p(y | x_t), of x_t [B, ...], t [B] and the condition, differentiable in x_t; the caller's.
    /// </param>
    /// <param name="scale">1 for Bayes' rule, more for sharper samples, 0 for none.</param>
    /// <param name="prediction">What the network predicts; eps unless said otherwise.</param>
    /// <returns>Owns its tables.</returns>
    /// <exception cref="ArgumentException">The scale is not finite, or the prediction scales the network's input.</exception>
    /// <remarks>Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", Algorithm 2.</remarks>
    public static ClassifierGuidance Classifier(
        IDenoiser denoiser,
        INoiseSchedule schedule,
        Func<Tensor, Tensor, Condition?, Tensor> logProbability,
        double scale = 1.0,
        IPrediction? prediction = null)
        => new(denoiser, schedule, logProbability, scale, prediction);
}
