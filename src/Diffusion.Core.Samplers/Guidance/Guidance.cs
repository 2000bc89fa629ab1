using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Standard guidance methods. Each returns a model that wraps the given one, so that every sampler supports it and methods can be nested.
/// </summary>
public static class Guidance
{
    /// <summary>
    /// Classifier-free guidance of a network with class labels, one of which stands for "no class":
    /// <c>unconditional + scale (conditional - unconditional)</c>.
    /// </summary>
    /// <param name="model">The model. It is not disposed.</param>
    /// <param name="scale">1 for the conditional prediction alone, 0 for the unconditional one, greater than 1 for guidance.</param>
    /// <param name="nullLabel">The label that stands for "no class". The default is that of the model.</param>
    /// <param name="options">Further options. The default is a new <see cref="GuidanceOptions"/>.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option is outside its range.</exception>
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
                ? Condition.Create(labels: labels.FullLike(label))
                : throw new ArgumentException("Guidance by labels needs a condition with labels, got none.", nameof(condition)),
            options);
    }

    /// <summary>Classifier-free guidance of any conditional network.</summary>
    /// <param name="model">The model. It is not disposed.</param>
    /// <param name="scale">1 for the conditional prediction alone, 0 for the unconditional one, greater than 1 for guidance.</param>
    /// <param name="unconditional">
    /// Returns the unconditional counterpart of a condition, or <see langword="null"/>. A condition that it creates is disposed after the
    /// call.
    /// </param>
    /// <param name="options">Further options. The default is a new <see cref="GuidanceOptions"/>.</param>
    /// <inheritdoc cref="ClassifierFree(DiffusionModel, double, long?, GuidanceOptions?)" path="/exception"/>
    /// <inheritdoc cref="ClassifierFree(DiffusionModel, double, long?, GuidanceOptions?)" path="/remarks"/>
    public static DiffusionModel ClassifierFree(
        DiffusionModel model, double scale, Func<Condition?, Condition?> unconditional, GuidanceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var network = model.Network;
        return model.With(new GuidedDenoiser(network, new ReconditionedDenoiser(network, unconditional), scale, options));
    }

    /// <summary>Autoguidance: guides a network away from a worse version of itself, under the same condition.</summary>
    /// <param name="model">The model. It is not disposed.</param>
    /// <param name="worse">A smaller or less trained network for the same task. It is not disposed.</param>
    /// <param name="scale">1 for the network alone, greater than 1 for guidance.</param>
    /// <param name="options">Further options. The default is a new <see cref="GuidanceOptions"/>.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option is outside its range.</exception>
    /// <remarks>Source: Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself", eq. 3.</remarks>
    public static DiffusionModel Auto(DiffusionModel model, IDenoiser worse, double scale, GuidanceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.With(new GuidedDenoiser(model.Network, worse, scale, options));
    }

    /// <summary>Classifier guidance: guides a network with the gradient of a classifier of noisy samples.</summary>
    /// <param name="model">The model. It is not disposed.</param>
    /// <param name="logProbability">
    /// Returns [B] log p(y | x_t) for x_t [B, ...], t [B] and the condition, differentiable in x_t. The returned tensor is disposed after
    /// use.
    /// </param>
    /// <param name="scale">1 for Bayes' rule, greater than 1 for sharper samples, 0 for no guidance. The default is 1.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or the prediction scales the input of the network.</exception>
    /// <remarks>Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", Algorithm 2.</remarks>
    public static DiffusionModel Classifier(
        DiffusionModel model, Func<Tensor, Tensor, Condition?, Tensor> logProbability, double scale = 1.0)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.With(new ClassifierGuidance(model, logProbability, scale));
    }
}

/// <summary>
/// Options of guidance. They apply to the prediction only; the variance channels of a network are not changed. The default is plain
/// guidance, at all times.
/// </summary>
public sealed record GuidanceOptions
{
    /// <summary>
    /// The degree to which the standard deviation of the guided prediction is rescaled to that of the main prediction, per sample, from 0
    /// to 1; 0.7 is common. This prevents overexposed images at large scales. The default is 0.
    /// </summary>
    /// <remarks>Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4.</remarks>
    public double Rescale { get; init; }

    /// <summary>
    /// The lowest timestep with guidance, as passed to the network; below it, only the main prediction is used. The default is negative
    /// infinity.
    /// </summary>
    /// <remarks>Source: Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval".</remarks>
    public double MinTime { get; init; } = double.NegativeInfinity;

    /// <summary>
    /// The highest timestep with guidance, as passed to the network; above it, only the main prediction is used. The default is positive
    /// infinity.
    /// </summary>
    /// <inheritdoc cref="MinTime" path="/remarks"/>
    public double MaxTime { get; init; } = double.PositiveInfinity;

    /// <summary>
    /// Whether the guide prediction is scaled, per sample, by the factor that brings it nearest to the main prediction before the two are
    /// combined. The default is <see langword="false"/>.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models", eq. 9.</remarks>
    public bool ZeroStar { get; init; }

    /// <summary>
    /// The timestep above which the output is zero: the "zero-init" of CFG-Zero*, for networks that predict a flow velocity. The default is
    /// positive infinity: never.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*", section 4.2.</remarks>
    public double ZeroAbove { get; init; } = double.PositiveInfinity;
}

/// <summary>
/// Calls a network with another condition than the given one. Used as the unconditional network of classifier-free guidance.
/// </summary>
/// <param name="denoiser">The network. It is not disposed.</param>
/// <param name="condition">
/// Returns the condition that the network receives in place of the given one, or <see langword="null"/> for none. A condition that it
/// creates is disposed after the call.
/// </param>
internal sealed class ReconditionedDenoiser(IDenoiser denoiser, Func<Condition?, Condition?> condition) : DelegatingDenoiser(denoiser)
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
