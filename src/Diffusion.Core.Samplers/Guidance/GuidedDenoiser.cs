using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Guidance between two networks: <c>guide + scale (main - guide)</c>. If the guide network is the same network without its condition, this
/// is classifier-free guidance; if it is a smaller or less trained network, this is autoguidance. Created by <see cref="Guidance"/>.
/// </summary>
/// <remarks>
/// With a scale of 1, the prediction is exactly that of the main network. With a scale of 0, it is exactly that of the guide network if the
/// whole batch is guided and neither <see cref="GuidanceOptions.Rescale"/> nor <see cref="GuidanceOptions.ZeroStar"/> is set. In both cases
/// only one network is called. Guidance works with every type of prediction, because each is linear in x_0 and eps. If the networks return
/// twice the channels of x_t, only the prediction is guided, and the variance channels of the main network are not changed, as in GLIDE,
/// DiT and DeepFloyd IF.
/// </remarks>
public sealed class GuidedDenoiser : DelegatingDenoiser
{
    /// <summary>Initializes a new instance of the <see cref="GuidedDenoiser"/> class.</summary>
    /// <param name="main">The network whose prediction is strengthened. It is not disposed.</param>
    /// <param name="guide">The network that the prediction is guided away from. It is not disposed.</param>
    /// <param name="scale">The strength of the guidance, finite; 1 for no guidance.</param>
    /// <param name="options">Further options. The default is a new <see cref="GuidanceOptions"/>.</param>
    /// <exception cref="ArgumentException">The scale is not finite, or an option is outside its range.</exception>
    public GuidedDenoiser(IDenoiser main, IDenoiser guide, double scale, GuidanceOptions? options = null)
        : base(main)
    {
        ArgumentNullException.ThrowIfNull(guide);
        (Guide, Options) = (guide, options ?? new GuidanceOptions());
        Scale = Guard.InRange(scale, -Guard.MaxFactor, Guard.MaxFactor);
        Guard.InRange(Options.Rescale, 0.0, 1.0, "options.Rescale");
        if (!(Options.MinTime <= Options.MaxTime))
            throw new ArgumentException(
                Invariant($"MinTime must not be greater than MaxTime, got {Options.MinTime} and {Options.MaxTime}."),
                nameof(options));
    }

    /// <summary>The network whose prediction is strengthened.</summary>
    public IDenoiser Main => Inner;

    /// <summary>The network that the prediction is guided away from.</summary>
    public IDenoiser Guide { get; }

    /// <summary>The strength of the guidance; 1 for no guidance.</summary>
    public double Scale { get; }

    /// <summary>Further options.</summary>
    public GuidanceOptions Options { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The two networks return different shapes or types.</exception>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        ArgumentNullException.ThrowIfNull(t);
        var output = Combine(xt, t, condition);
        if (double.IsPositiveInfinity(Options.ZeroAbove))
            return output;
        using var scope = NewDisposeScope();
        using var free = output;
        return VarianceChannels.Keep(output, xt, prediction => prediction.mul(PerSample(t.Le(Options.ZeroAbove), prediction)))
            .MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IDisposable? BeginInference()
    {
        var main = base.BeginInference();
        try
        {
            return new Scopes(main, Guide.BeginInference());
        }
        catch
        {
            main?.Dispose();
            throw;
        }
    }

    private Tensor Combine(Tensor xt, Tensor t, Condition? condition)
    {
        var guided = Guided(t);
        if (Scale == 1.0 || guided == false)
            return Main.Predict(xt, t, condition);
        if (Scale == 0.0 && guided == true && Options is { Rescale: 0.0, ZeroStar: false })
            return Guide.Predict(xt, t, condition);

        using var scope = NewDisposeScope();
        using var main = Main.Predict(xt, t, condition);
        using var guide = Guide.Predict(xt, t, condition);
        Guard.SameShape(main, guide, "the prediction of the main network", "that of the guide");
        Guard.SameType(main, guide, "the prediction of the main network", "that of the guide");
        return VarianceChannels.Keep(main, xt, prediction => Lead(prediction, VarianceChannels.Prediction(guide, xt).Widened(), t, guided))
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Returns the prediction of the main network guided away from that of the guide network, in the current dispose scope.
    /// </summary>
    private Tensor Lead(Tensor main, Tensor guide, Tensor t, bool? guided)
    {
        var from = Options.ZeroStar ? guide.mul(Nearest(main, guide)) : guide;
        var result = from.Mul(1.0 - Scale).Add_(main, alpha: Scale);
        if (Options.Rescale > 0.0)
        {
            // A flat prediction, as that of a network before its first step, has no deviation to rescale.
            var ratio = Deviation(main).div_(Deviation(result));
            ratio = where(ratio.isfinite(), ratio, ones_like(ratio));
            result = result.mul(ratio.Mul_(Options.Rescale).Add_(1.0 - Options.Rescale));
        }

        if (guided is not null)
            return result;
        using var above = t.Ge(Options.MinTime);
        using var below = t.Le(Options.MaxTime);
        return main.lerp(result, PerSample(above.logical_and(below), main));
    }

    /// <summary>
    /// Returns <see langword="true"/> if all samples of the batch are guided, <see langword="false"/> if none is, and
    /// <see langword="null"/> if only some are, or if reading the timesteps would wait for the device.
    /// </summary>
    private bool? Guided(Tensor t)
    {
        if (double.IsNegativeInfinity(Options.MinTime) && double.IsPositiveInfinity(Options.MaxTime))
            return true;
        if (t.device_type != TorchSharp.DeviceType.CPU)
            return null;
        using var host = t.to(ScalarType.Float64, copy: true);
        var inside = host.data<double>().ToArray().Select(time => time >= Options.MinTime && time <= Options.MaxTime).Distinct().ToArray();
        return inside.Length == 1 ? inside[0] : null;
    }

    /// <summary>Returns [B, 1, ...] the factor that brings the guide prediction nearest to the main prediction.</summary>
    private static Tensor Nearest(Tensor main, Tensor guide)
    {
        var (a, b) = (main.reshape(main.shape[0], -1), guide.reshape(guide.shape[0], -1));
        var squares = b.mul(b).sum(1L).ClampMin(1e-30);
        return Broadcast(a.mul(b).sum(1L).div_(squares), main);
    }

    /// <summary>Returns [B, 1, ...] the standard deviation of each sample.</summary>
    private static Tensor Deviation(Tensor values)
    {
        var rows = values.reshape(values.shape[0], -1);
        var centred = rows.sub(rows.mean([1L], keepdim: true));
        return Broadcast(centred.mul(centred).mean([1L]).sqrt(), values);
    }

    private static Tensor PerSample(Tensor mask, Tensor like) => Broadcast(mask.to(like.dtype), like);

    private static Tensor Broadcast(Tensor perSample, Tensor like)
    {
        var shape = new long[like.dim()];
        Array.Fill(shape, 1L);
        shape[0] = like.shape[0];
        return perSample.reshape(shape);
    }

    private sealed class Scopes(IDisposable? first, IDisposable? second) : IDisposable
    {
        public void Dispose()
        {
            second?.Dispose();
            first?.Dispose();
        }
    }
}

/// <summary>
/// Handles outputs of networks that learn the variance: [B, 2C, ...] for an x_t of [B, C, ...]. The first C channels are the prediction.
/// </summary>
internal static class VarianceChannels
{
    /// <summary>
    /// Returns [B, C, ...] the prediction: a view of the output, or the output itself if it has no variance channels.
    /// </summary>
    public static Tensor Prediction(Tensor output, Tensor xt) => Are(output, xt) ? output.narrow(1, 0, xt.shape[1]) : output;

    /// <summary>
    /// Replaces the prediction in an output and keeps its variance channels. A prediction in half precision is changed, and returned, in
    /// float32: its squares and large coefficients are not finite in half precision.
    /// </summary>
    /// <param name="output">[B, C, ...] or [B, 2C, ...] the output.</param>
    /// <param name="xt">[B, C, ...] the input of the network.</param>
    /// <param name="change">Maps [B, C, ...] to a new tensor of that shape.</param>
    public static Tensor Keep(Tensor output, Tensor xt, Func<Tensor, Tensor> change)
    {
        var changed = change(Prediction(output, xt).Widened());
        return Are(output, xt) ? cat([changed, output.narrow(1, xt.shape[1], xt.shape[1])], 1) : changed;
    }

    /// <summary>The tensor itself, or in float32 if it is in half precision.</summary>
    public static Tensor Widened(this Tensor x) => HalfPrecision.Is(x.dtype) ? x.to(ScalarType.Float32) : x;

    private static bool Are(Tensor output, Tensor xt)
        => xt.dim() > 1 && output.dim() == xt.dim() && output.shape[1] == 2 * xt.shape[1];
}
