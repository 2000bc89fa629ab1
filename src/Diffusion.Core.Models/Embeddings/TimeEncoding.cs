using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A fixed or learned encoding of the timestep as a vector, which is the input of the time embedding of a network.</summary>
public abstract record TimeEncoding
{
    /// <summary>Creates an encoding as sines and cosines of fixed frequencies (Ho et al. 2020).</summary>
    /// <param name="frequencyShift">See <see cref="SinusoidalTimeEncoding.FrequencyShift"/>.</param>
    public static SinusoidalTimeEncoding Sinusoidal(double frequencyShift = 0) => new() { FrequencyShift = frequencyShift };

    /// <summary>Creates an encoding as sines and cosines of random frequencies that are not trained (Song et al. 2021).</summary>
    /// <param name="scale">The standard deviation of the frequencies, in cycles. The default is 16.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="scale"/> is not finite and positive.</exception>
    public static FourierTimeEncoding Fourier(double scale = 16) => new() { Scale = Guard.Positive(scale) };

    /// <summary>Creates an encoding as a learned vector for each step, for int64 timesteps in 0..steps-1.</summary>
    /// <param name="steps">T, the number of steps.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public static TimeEncoding Learned(int steps) => new Table(Guard.Positive(steps));

    /// <summary>Returns the width of the vector.</summary>
    /// <param name="firstWidth">The width of the first level of the network.</param>
    public abstract int Width(int firstWidth);

    /// <summary>Creates a module that maps t, [B], to [B, width] in any floating point type.</summary>
    /// <param name="firstWidth">The width of the first level of the network.</param>
    /// <returns>The module. The network disposes it.</returns>
    /// <exception cref="ArgumentException">The encoding does not support the width.</exception>
    public abstract nn.Module<Tensor, Tensor> Build(int firstWidth);

    internal sealed record Table(int Steps) : TimeEncoding
    {
        public override int Width(int firstWidth) => firstWidth;

        public override nn.Module<Tensor, Tensor> Build(int firstWidth) => new LabelEmbedding(Steps, firstWidth);
    }
}

/// <summary>An encoding as sines and cosines of fixed frequencies (Ho et al. 2020); see <see cref="SinusoidalEmbedding"/>.</summary>
public sealed record SinusoidalTimeEncoding : TimeEncoding
{
    /// <summary>
    /// Whether the order is [cos, sin] instead of [sin, cos]; the setting <c>flip_sin_to_cos</c> of diffusers. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool FlipSinToCos { get; init; } = true;

    /// <summary>
    /// The shift of the frequencies, less than half the width; the setting <c>downscale_freq_shift</c> of diffusers. With 1, the lowest
    /// frequency is exactly 1/10000, as in the code of Ho et al.; with 0, the default, it is slightly higher.
    /// </summary>
    public double FrequencyShift { get; init; }

    /// <inheritdoc/>
    public override int Width(int firstWidth) => firstWidth;

    /// <inheritdoc/>
    public override nn.Module<Tensor, Tensor> Build(int firstWidth)
        => new SinusoidalEmbedding(firstWidth, FrequencyShift) { FlipSinToCos = FlipSinToCos };
}

/// <summary>An encoding as sines and cosines of random frequencies that are not trained (Song et al. 2021).</summary>
public sealed record FourierTimeEncoding : TimeEncoding
{
    /// <summary>The standard deviation of the frequencies, in cycles. The default is 16.</summary>
    public double Scale { get; init; } = 16;

    /// <summary>
    /// Whether log t is encoded instead of t, for noise levels; the setting <c>log</c> of diffusers. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool Logarithm { get; init; } = true;

    /// <summary>Whether the order is [cos, sin] instead of [sin, cos]. The default is <see langword="false"/>.</summary>
    public bool FlipSinToCos { get; init; }

    /// <summary>
    /// The width of the vector, an even number. The default is <see langword="null"/>: twice the width of the first level.
    /// </summary>
    public int? VectorWidth { get; init; }

    /// <inheritdoc/>
    public override int Width(int firstWidth) => VectorWidth ?? Layers.Size(2, firstWidth);

    /// <inheritdoc/>
    public override nn.Module<Tensor, Tensor> Build(int firstWidth)
        => new FourierEmbedding(Width(firstWidth), Scale) { Logarithm = Logarithm, FlipSinToCos = FlipSinToCos };
}
