using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The scaling of the latents of an autoencoder for a denoiser: <c>factor (z - shift)</c>. Scaled latents have approximately unit variance,
/// as noise schedules expect.
/// </summary>
/// <remarks>Source: Rombach et al. 2022, section 3.1 and appendix G: the factor is 1/std of the latents of the first batch.</remarks>
public sealed record LatentScaling
{
    private readonly double[] _factors;
    private readonly double[] _shifts;

    /// <summary>Creates a scaling with one factor and one shift for all channels.</summary>
    /// <param name="factor">The factor, finite and greater than 0, such as 0.18215 for Stable Diffusion 1 and 2.</param>
    /// <param name="shift">The shift, finite. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    public LatentScaling(double factor, double shift = 0.0)
        : this([factor], [shift])
    {
    }

    /// <summary>Creates a scaling with a factor and a shift for each channel.</summary>
    /// <param name="factors">C factors, or one factor for all channels, finite and greater than 0.</param>
    /// <param name="shifts">One shift for each factor, finite.</param>
    /// <exception cref="ArgumentException">
    /// There are no factors, the number of shifts is not the number of factors, or a value is out of range.
    /// </exception>
    [JsonConstructor]
    public LatentScaling(IReadOnlyList<double> factors, IReadOnlyList<double> shifts)
    {
        ArgumentNullException.ThrowIfNull(factors);
        ArgumentNullException.ThrowIfNull(shifts);
        if (factors.Count == 0 || factors.Count != shifts.Count)
            throw new ArgumentException(
                $"There must be a shift for each factor, got {factors.Count} factors and {shifts.Count} shifts.",
                nameof(shifts));
        foreach (var factor in factors)
            Guard.Positive(factor, nameof(factors));
        foreach (var shift in shifts)
            Guard.InRange(shift, -double.MaxValue, double.MaxValue, nameof(shifts));
        (_factors, _shifts) = ([.. factors], [.. shifts]);
    }

    /// <summary>The identity: factor 1 and shift 0.</summary>
    public static LatentScaling None { get; } = new(1.0);

    /// <summary>One factor for each channel, or one factor for all channels.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IReadOnlyList<double> Factors => _factors;

    /// <summary>One shift for each channel, or one shift for all channels.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IReadOnlyList<double> Shifts => _shifts;

    /// <summary>
    /// Computes the scaling that gives latents unit variance: the factor is 1/std of all values, and the shift is 0 (Rombach et al. 2022).
    /// </summary>
    /// <param name="latents">
    /// [B, C, ...] a batch of latents, with at least two values (in each channel, for a scaling per channel). The caller keeps ownership.
    /// The method waits for the device.
    /// </param>
    /// <exception cref="ArgumentException">There are too few values, all values are the same, or a value is not finite.</exception>
    public static LatentScaling Measure(Tensor latents) => Measure(latents, perChannel: false);

    /// <summary>
    /// Computes the scaling that gives each channel of latents mean 0 and variance 1: the factors are 1/std and the shifts are the means of
    /// the channels.
    /// </summary>
    /// <inheritdoc cref="Measure(Tensor)"/>
    public static LatentScaling MeasurePerChannel(Tensor latents) => Measure(latents, perChannel: true);

    private static LatentScaling Measure(Tensor latents, bool perChannel)
    {
        Guard.Floating(latents);
        if (latents.dim() < 2 || latents.numel() < (perChannel ? 2 * latents.shape[1] : 2))
            throw new ArgumentException(
                $"latents must be [B, C, ...] with several values, got {Guard.Format(latents.shape)}.",
                nameof(latents));
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var values = latents.to(ScalarType.Float64).transpose(0, 1).reshape(perChannel ? latents.shape[1] : 1, -1);
        var mean = values.mean([1L], keepdim: true);
        var std = values.sub(mean).Square().sum(1L).Div(values.shape[1] - 1).sqrt();
        double[] factors = [.. std.cpu().data<double>().Select(value => 1.0 / value)];
        if (!factors.All(double.IsFinite))
            throw new ArgumentException("latents must be finite and not all the same.", nameof(latents));
        return new LatentScaling(factors, perChannel ? [.. mean.reshape(-1).cpu().data<double>()] : [0.0]);
    }

    /// <summary>Scales latents for a denoiser.</summary>
    /// <param name="z">[B, C, ...] latents of an autoencoder.</param>
    /// <returns>A tensor of the same shape. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The number of factors is neither 1 nor the number of channels.</exception>
    public Tensor Apply(Tensor z) => PerChannel(z, static (part, factor, shift) => part.Sub(shift).Mul_(factor));

    /// <summary>Undoes <see cref="Apply"/>: returns the latents of the autoencoder.</summary>
    /// <param name="scaled">[B, C, ...] scaled latents.</param>
    /// <returns>A tensor of the same shape. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The number of factors is neither 1 nor the number of channels.</exception>
    public Tensor Invert(Tensor scaled) => PerChannel(scaled, static (part, factor, shift) => part.Div(factor).Add_(shift));

    /// <inheritdoc/>
    public bool Equals(LatentScaling? other)
        => other is not null && _factors.AsSpan().SequenceEqual(other._factors) && _shifts.AsSpan().SequenceEqual(other._shifts);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_factors.Length, _factors[0], _shifts[0]);

    private Tensor PerChannel(Tensor z, Func<Tensor, double, double, Tensor> change)
    {
        Guard.Floating(z);
        if (_factors.Length == 1)
            return change(z, _factors[0], _shifts[0]);
        if (z.dim() < 2 || z.shape[1] != _factors.Length)
            throw new ArgumentException(
                $"{nameof(z)} must have shape [B, {_factors.Length}, ...], got {Guard.Format(z.shape)}.",
                nameof(z));
        using var scope = NewDisposeScope();
        var parts = new Tensor[_factors.Length];
        for (var channel = 0; channel < parts.Length; channel++)
            parts[channel] = change(z.narrow(1, channel, 1), _factors[channel], _shifts[channel]);
        return cat(parts, 1).MoveToOuterDisposeScope();
    }
}
