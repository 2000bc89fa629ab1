using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Embeds times as sines and cosines of random frequencies, drawn once from N(0, scale^2). The frequencies are not trained.
/// </summary>
/// <remarks>
/// Source: Tancik et al. 2020, eq. 5, applied to t as in Song et al. 2021, appendix C. State: <c>weight</c>, a buffer, [width / 2].
/// </remarks>
internal sealed class FourierEmbedding : NamedModule<Tensor, Tensor>
{
    private const string WeightName = "weight";

    /// <summary>Creates an embedding with random frequencies from the default generator.</summary>
    /// <param name="width">The width of the embedding, an even number.</param>
    /// <param name="scale">The standard deviation of the frequencies, in cycles. The default is 16.</param>
    /// <exception cref="ArgumentException">
    /// The width is not a positive even number, or the scale is not finite and positive.
    /// </exception>
    public FourierEmbedding(int width, double scale = 16)
        : base(nameof(FourierEmbedding))
    {
        if (width < 2 || width % 2 != 0)
            throw new ArgumentException(
                Invariant($"The width of a Fourier embedding must be an even number from 2, got {width}."), nameof(width));
        ParameterBudget.Spend(width / 2);
        using var frequencies = randn([width / 2], dtype: ScalarType.Float32);
        register_buffer(WeightName, frequencies.Mul(Guard.Positive(scale)).DetachFromDisposeScope());
    }

    /// <summary>Whether log t is embedded instead of t, for noise levels. The default is <see langword="true"/>.</summary>
    public bool Logarithm { get; init; } = true;

    /// <summary>Whether the order is [cos, sin] instead of [sin, cos]. The default is <see langword="false"/>.</summary>
    public bool FlipSinToCos { get; init; }

    /// <summary>Embeds each time.</summary>
    /// <param name="input">
    /// t, [B], integer or floating point, on any device; greater than 0 if <see cref="Logarithm"/> is <see langword="true"/>.
    /// </param>
    /// <returns>[B, width] in the type and on the device of the frequencies. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1]);
        using var scope = NewDisposeScope();
        var frequencies = get_buffer(WeightName)!;
        var t = input.to(frequencies.dtype, frequencies.device);
        var angles = (Logarithm ? t.log() : t).unsqueeze(1).mul(frequencies).Mul(2 * Math.PI);
        var (sin, cos) = (angles.sin(), angles.cos());
        return cat(FlipSinToCos ? [cos, sin] : [sin, cos], 1).MoveToOuterDisposeScope();
    }
}
