using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// A factor on the loss, and so on every gradient on its way back, that keeps small gradients above what float16 can hold. It is halved
/// when a gradient overflows, and doubled after a while without.
/// </summary>
/// <remarks>Source: Micikevicius et al. 2018, section 3.2, with the dynamic choice that its authors use.</remarks>
public sealed record GradScaler
{
    /// <summary>The factor at the beginning: 65,536.</summary>
    public double Initial { get; init; } = 65_536.0;

    /// <summary>What it is multiplied by after an overflow: 1/2. The step is skipped.</summary>
    public double Backoff { get; init; } = 0.5;

    /// <summary>What it is multiplied by after <see cref="GrowthInterval"/> steps without an overflow: 2.</summary>
    public double Growth { get; init; } = 2.0;

    /// <summary>Steps in a row without an overflow, after which the factor grows: 2,000.</summary>
    public long GrowthInterval { get; init; } = 2_000;

    internal void Validate()
    {
        Guard.Positive(Initial);
        Guard.InRange(Backoff, double.Epsilon, 1.0);
        Guard.InRange(Growth, 1.0, double.MaxValue);
        Guard.InRange(GrowthInterval, 1, long.MaxValue);
    }
}

/// <summary>The factor on the loss of a run, on the device.</summary>
internal sealed class GradScale : IDisposable
{
    private readonly GradScaler _settings;

    /// <summary>The factor at the beginning of a run.</summary>
    public GradScale(GradScaler settings, FlatLayout layout)
    {
        _settings = settings;
        Value = layout.NewNumber(settings.Initial);
        Streak = layout.NewNumber(0.0);
    }

    /// <summary>[] float64, the factor.</summary>
    public Tensor Value { get; }

    /// <summary>[] float64, steps since it changed or a gradient overflowed.</summary>
    public Tensor Streak { get; }

    /// <summary>The loss times the factor, in its own type; the caller's.</summary>
    public Tensor Scale(Tensor loss)
    {
        using var factor = Value.to(loss.dtype);
        return loss.mul(factor);
    }

    /// <summary>[] what gradients are multiplied by to be those of the loss; the caller's.</summary>
    public Tensor Inverse() => Value.reciprocal();

    /// <summary>Halves or doubles the factor as the last step asks for.</summary>
    /// <param name="apply">[] float64: 1 where the step was taken.</param>
    /// <param name="finiteLoss">[] bool: a step with such a loss that was not taken had a gradient that overflowed.</param>
    /// <returns>[] float64: 1 where the step was skipped for a reason that no smaller factor will mend; in the current scope.</returns>
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
