using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The encoding of t as a vector, which is the input of the time embedding. The standard encodings are in <see cref="TimeEncoding"/>.
/// </summary>
public interface ITimeEncoding
{
    /// <summary>Returns the width of the vector in a network whose first level has a given width.</summary>
    int Width(int firstWidth);

    /// <summary>Creates a module that maps t, [B], to [B, width], floating point of any type.</summary>
    /// <exception cref="ArgumentException">The encoding does not support this width.</exception>
    nn.Module<Tensor, Tensor> Build(int firstWidth);
}

/// <summary>The standard encodings of time.</summary>
public static class TimeEncoding
{
    /// <summary>Sines and cosines of fixed frequencies (Ho et al. 2020); see <see cref="SinusoidalEmbedding"/>.</summary>
    /// <param name="flipSinToCos">The order: [cos, sin] when true, [sin, cos] when false.</param>
    /// <param name="frequencyShift">
    /// With 1 the lowest frequency is exactly 1/10000, as in Ho et al.; with 0, the default, it is slightly higher.
    /// </param>
    public static ITimeEncoding Sinusoidal(bool flipSinToCos = true, double frequencyShift = 0) => new Sines(flipSinToCos, frequencyShift);

    /// <summary>
    /// Sines and cosines of random frequencies that are not trained (Song et al. 2021); see <see cref="FourierEmbedding"/>.
    /// </summary>
    /// <param name="scale">The standard deviation of the frequencies, in cycles.</param>
    /// <param name="logarithm">True to encode log t, for times that are noise levels.</param>
    /// <param name="flipSinToCos">The order: [cos, sin] when true, [sin, cos] when false.</param>
    /// <param name="width">The width of the encoding, even; twice that of the first level by default.</param>
    public static ITimeEncoding Fourier(double scale = 16, bool logarithm = true, bool flipSinToCos = false, int? width = null)
        => new RandomFourier(Guard.Positive(scale), logarithm, flipSinToCos, width);

    /// <summary>A learned vector for each step. t must be int64 in 0..steps-1.</summary>
    /// <param name="steps">T, the number of steps.</param>
    public static ITimeEncoding Learned(int steps) => new Table(Guard.Positive(steps));

    internal sealed record Sines(bool FlipSinToCos, double FrequencyShift) : ITimeEncoding
    {
        public int Width(int firstWidth) => firstWidth;

        public nn.Module<Tensor, Tensor> Build(int firstWidth) => new SinusoidalEmbedding(firstWidth, FlipSinToCos, FrequencyShift);
    }

    internal sealed record RandomFourier(double Scale, bool Logarithm, bool FlipSinToCos, int? Given) : ITimeEncoding
    {
        public int Width(int firstWidth) => Given ?? checked(2 * firstWidth);

        public nn.Module<Tensor, Tensor> Build(int firstWidth) => new FourierEmbedding(Width(firstWidth), Scale, Logarithm, FlipSinToCos);
    }

    internal sealed record Table(int Steps) : ITimeEncoding
    {
        public int Width(int firstWidth) => firstWidth;

        public nn.Module<Tensor, Tensor> Build(int firstWidth) => new LabelEmbedding(Steps, firstWidth);
    }
}
