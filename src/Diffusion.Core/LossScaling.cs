namespace Diffusion.Core;

/// <summary>
/// A factor on the loss, and so on every gradient on its way back, that keeps small gradients above what float16 can hold. It is halved
/// when a gradient overflows, and doubled after a while without.
/// </summary>
/// <remarks>Source: Micikevicius et al. 2018, section 3.2, with the dynamic choice that its authors use.</remarks>
public sealed record LossScaling
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
