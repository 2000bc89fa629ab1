using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The guidances of the literature. Each returns a model around models, so that samplers need not know of it and guidances can be nested.
/// </summary>
public static class Guidance
{
    /// <summary>
    /// Classifier-free guidance of a network with class labels, one of which stands for "no class":
    /// <c>none + scale (labelled - none)</c>.
    /// </summary>
    /// <param name="model">The model; not disposed.</param>
    /// <param name="scale">1 for the conditional network alone, 0 for the unconditional one, more for guidance.</param>
    /// <param name="nullLabel">The label that stands for no class. The default is that of the model.</param>
    /// <param name="options">Refinements.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option lies outside its range.</exception>
    /// <remarks>
    /// Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6, with scale = 1 + w.
    /// </remarks>
    public static DiffusionModel ClassifierFree(DiffusionModel model, double scale, long? nullLabel = null, GuidanceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var label = nullLabel ?? model.NullLabel ?? throw new ArgumentException(
            $"The model has no {nameof(DiffusionModel.NullLabel)}; pass the label that stands for no class.", nameof(nullLabel));
        return ClassifierFree(
            model,
            scale,
            condition => condition?.Labels is { } labels
                ? new Condition { Labels = labels.FullLike(label) }
                : throw new ArgumentException("Guidance by labels needs a condition with labels, got none.", nameof(condition)),
            options);
    }

    /// <summary>Classifier-free guidance of any conditional network.</summary>
    /// <param name="model">The model; not disposed.</param>
    /// <param name="scale">1 for the conditional network alone, 0 for the unconditional one, more for guidance.</param>
    /// <param name="unconditional">
    /// From a condition to the one that stands for none, or null; what it makes anew is disposed after the call.
    /// </param>
    /// <param name="options">Refinements.</param>
    /// <inheritdoc cref="ClassifierFree(DiffusionModel, double, long?, GuidanceOptions?)" path="/exception"/>
    /// <inheritdoc cref="ClassifierFree(DiffusionModel, double, long?, GuidanceOptions?)" path="/remarks"/>
    public static DiffusionModel ClassifierFree(
        DiffusionModel model, double scale, Func<Condition?, Condition?> unconditional, GuidanceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var network = model.Network;
        return model.With(new GuidedDenoiser(network, new ReconditionedDenoiser(network, unconditional), scale, options));
    }

    /// <summary>Autoguidance: a network led away from a worse version of itself, under the same condition.</summary>
    /// <param name="model">The model; not disposed.</param>
    /// <param name="worse">A smaller or less trained network of the same task; not disposed.</param>
    /// <param name="scale">1 for the network alone, more for guidance.</param>
    /// <param name="options">Refinements.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option lies outside its range.</exception>
    /// <remarks>Source: Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself", eq. 3.</remarks>
    public static DiffusionModel Auto(DiffusionModel model, IDenoiser worse, double scale, GuidanceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.With(new GuidedDenoiser(model.Network, worse, scale, options));
    }

    /// <summary>Classifier guidance: a network led up the gradient of a classifier of noisy samples.</summary>
    /// <param name="model">The model; not disposed.</param>
    /// <param name="logProbability">
    /// [B] log p(y | x_t), of x_t [B, ...], t [B] and the condition, differentiable in x_t. The tensor it returns is disposed.
    /// </param>
    /// <param name="scale">1 for Bayes' rule, more for sharper samples, 0 for none.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or the prediction scales the network's input.</exception>
    /// <remarks>Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", Algorithm 2.</remarks>
    public static DiffusionModel Classifier(
        DiffusionModel model, Func<Tensor, Tensor, Condition?, Tensor> logProbability, double scale = 1.0)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.With(new ClassifierGuidance(model, logProbability, scale));
    }
}

/// <summary>
/// Refinements of guidance, all of the prediction alone: what a network says about the variance is not touched. The defaults are plain
/// guidance, at all times.
/// </summary>
public sealed record GuidanceOptions
{
    /// <summary>
    /// How far the guided answer is given back the standard deviation of the strong one, per sample, 0 to 1; 0.7 is usual. Keeps large
    /// scales from overexposing.
    /// </summary>
    /// <remarks>Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4.</remarks>
    public double Rescale { get; init; }

    /// <summary>The least time with guidance; below it the strong answer stands alone. In the times that the network is told.</summary>
    /// <remarks>Source: Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval".</remarks>
    public double MinTime { get; init; } = double.NegativeInfinity;

    /// <summary>The greatest time with guidance; above it the strong answer stands alone.</summary>
    /// <inheritdoc cref="MinTime" path="/remarks"/>
    public double MaxTime { get; init; } = double.PositiveInfinity;

    /// <summary>
    /// True to scale the weak answer, per sample, to where it is nearest to the strong one before the two are compared.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models", eq. 9.</remarks>
    public bool ZeroStar { get; init; }

    /// <summary>
    /// Above this time the answer is zero: the "zero-init" of CFG-Zero*, for networks that predict a flow velocity. Never unless said
    /// otherwise.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*", section 4.2.</remarks>
    public double ZeroAbove { get; init; } = double.PositiveInfinity;
}

/// <summary>A network that is told another condition than it is given: the unconditional half of classifier-free guidance.</summary>
/// <param name="denoiser">The network; not disposed.</param>
/// <param name="condition">
/// From the given condition to the one that the network is told, or null for none; what it makes anew is disposed after the call.
/// </param>
public sealed class ReconditionedDenoiser(IDenoiser denoiser, Func<Condition?, Condition?> condition) : DelegatingDenoiser(denoiser)
{
    private readonly Func<Condition?, Condition?> _condition = condition ?? throw new ArgumentNullException(nameof(condition));

    /// <inheritdoc/>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        var other = _condition(condition);
        using var created = ReferenceEquals(other, condition) ? null : other;
        return Inner.Predict(xt, t, other);
    }
}
