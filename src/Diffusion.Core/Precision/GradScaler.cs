using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The settings of gradient scaling: the loss, and therefore each gradient, is multiplied by a factor, so that small gradients do not
/// underflow in float16. By default, the factor is halved when a gradient overflows, and doubled after 2,000 steps without an
/// overflow.
/// </summary>
/// <remarks>Source: Micikevicius et al. 2018, section 3.2, with dynamic loss scaling.</remarks>
public sealed record GradScaler
{
    /// <summary>The initial factor. The default is 65,536.</summary>
    public double Initial { get; init; } = 65_536.0;

    /// <summary>
    /// The number by which the factor is multiplied after an overflow. The step with the overflow is skipped. The default is 0.5.
    /// </summary>
    public double Backoff { get; init; } = 0.5;

    /// <summary>
    /// The number by which the factor is multiplied after <see cref="GrowthInterval"/> steps without an overflow. The default is 2.
    /// </summary>
    public double Growth { get; init; } = 2.0;

    /// <summary>The number of consecutive steps without an overflow after which the factor grows. The default is 2,000.</summary>
    public long GrowthInterval { get; init; } = 2_000;

    internal void Validate()
    {
        Guard.PositiveFactor(Initial);
        Guard.InRange(Backoff, double.Epsilon, 1.0);
        Guard.InRange(Growth, 1.0, Guard.MaxFactor);
        Guard.InRange(GrowthInterval, 1, long.MaxValue);
    }
}

/// <summary>The factor by which the loss of a run is multiplied, stored on the device.</summary>
internal sealed class GradScale : IDisposable
{
    private readonly GradScaler _settings;

    /// <summary>Initializes a new instance of the <see cref="GradScale"/> class at the beginning of a run.</summary>
    public GradScale(GradScaler settings, FlatLayout layout)
    {
        _settings = settings;
        Value = layout.NewNumber(settings.Initial);
        Streak = layout.NewNumber(0.0);
    }

    /// <summary>[] float64 the factor.</summary>
    public Tensor Value { get; }

    /// <summary>[] float64 the number of steps since the factor changed or a step was skipped.</summary>
    public Tensor Streak { get; }

    /// <summary>Returns the loss times the factor, in the type of the loss. The caller must dispose it.</summary>
    public Tensor Scale(Tensor loss)
    {
        using var factor = Value.to(loss.dtype);
        return loss.mul(factor);
    }

    /// <summary>Returns [] the reciprocal of the factor, which unscales the gradients. The caller must dispose it.</summary>
    public Tensor Inverse() => Value.reciprocal();

    /// <summary>Updates the factor after a step: reduces it after an overflow, and increases it after enough steps without one.</summary>
    /// <param name="apply">[] float64: 1 if the step was taken, 0 if it was skipped.</param>
    /// <param name="finiteLoss">
    /// [] bool: whether the loss was finite. If it was and the step was not taken, a gradient overflowed.
    /// </param>
    /// <returns>
    /// [] float64 in the current dispose scope: 1 if the step was skipped for a reason that a smaller factor cannot fix, otherwise 0.
    /// </returns>
    public Tensor Update(Tensor apply, Tensor finiteLoss)
    {
        var overflowed = finiteLoss.to(ScalarType.Float64).sub_(apply);
        var mendable = overflowed.mul(Value.Gt(1.0).to(ScalarType.Float64));
        Streak.Add_(1.0);
        Streak.mul_(apply);
        var grows = Streak.Ge(_settings.GrowthInterval).to(ScalarType.Float64);
        Streak.mul_(grows.neg().Add_(1.0));
        Value.mul_(grows.Mul_(_settings.Growth - 1.0).Add_(1.0));
        Value.mul_(overflowed.Mul_(_settings.Backoff - 1.0).Add_(1.0));
        return apply.neg().Add_(1.0).sub_(mendable);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Value.Dispose();
        Streak.Dispose();
    }
}
