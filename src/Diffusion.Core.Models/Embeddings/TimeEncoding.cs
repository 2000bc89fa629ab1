using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>How a network writes t as a vector before it learns from it. The usual ones are in <see cref="TimeEncoding"/>.</summary>
public interface ITimeEncoding
{
    /// <summary>The width of the vector in a network whose first level has the given one.</summary>
    int Width(int firstWidth);

    /// <summary>A new module from t, [B], to [B, width], floating point of any type.</summary>
    /// <exception cref="ArgumentException">The encoding does not fit the width.</exception>
    nn.Module<Tensor, Tensor> Build(int firstWidth);
}

/// <summary>The usual encodings of time.</summary>
public static class TimeEncoding
{
    /// <summary>Sines and cosines of fixed frequencies (Ho et al. 2020); see <see cref="SinusoidalEmbedding"/>.</summary>
    /// <param name="flipSinToCos">The order: [cos, sin] when true, [sin, cos] when false.</param>
    /// <param name="frequencyShift">1 makes the lowest frequency exactly 1/10000, as in Ho et al.; 0 stops just above it.</param>
    public static ITimeEncoding Sinusoidal(bool flipSinToCos = true, double frequencyShift = 0) => new Sines(flipSinToCos, frequencyShift);

    /// <summary>
    /// Sines and cosines of random frequencies that stay as they are (Song et al. 2021); see <see cref="FourierEmbedding"/>.
    /// </summary>
    /// <param name="scale">The standard deviation of the frequencies, in cycles.</param>
    /// <param name="logarithm">True to encode log t, for a t that is a noise level.</param>
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
