using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>How badly a decoder's output explains the data, element by element: a distance, or -log p(x | z) in nats.</summary>
public abstract class Reconstruction
{
    /// <summary>The field's name of the loss, such as <c>bernoulli</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The loss of each element.</summary>
    /// <param name="output">The output of the decoder, by default of the shape of <paramref name="x"/>.</param>
    /// <param name="x">[B, ...] the data.</param>
    /// <returns>The shape of <paramref name="x"/>, with gradients. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The output does not have the shape it should.</exception>
    public abstract Tensor Of(Tensor output, Tensor x);

    /// <summary>The absolute error.</summary>
    public static Reconstruction L1 { get; } = Of(Distance.L1);

    /// <summary>The squared error.</summary>
    public static Reconstruction L2 { get; } = Of(Distance.L2);

    /// <summary>-log Bernoulli(x; sigmoid(output)), the cross-entropy of logits, for data in [0, 1] (Kingma and Welling 2014).</summary>
    public static Reconstruction Bernoulli { get; } = new BernoulliLoss();

    /// <summary>
    /// -log N(x; mean, exp(logVariance)) of a decoder that returns both: [B, 2C, ...], the mean in the first half of the channels.
    /// </summary>
    public static Reconstruction LearnedGaussian { get; } = new LearnedGaussianLoss();

    /// <summary>-log N(x; output, std^2) with a fixed scale.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="std"/> is not finite and greater than 0.</exception>
    public static Reconstruction Gaussian(double std = 1.0) => new FixedGaussianLoss(2.0 * Math.Log(Guard.Positive(std)));

    /// <summary>
    /// -log N(x; output, exp(logVariance)) with a scale that is learned together with the decoder, one for all data (Rybkin et al. 2021,
    /// "sigma-VAE"; the logvar of latent diffusion).
    /// </summary>
    /// <param name="logVariance">A parameter that broadcasts to the data. The caller must dispose it after the loss was last used.</param>
    public static Reconstruction Gaussian(Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(logVariance);
        return new SharedGaussianLoss(logVariance);
    }

    /// <summary>A pointwise distance between output and data.</summary>
    public static Reconstruction Of(Distance distance)
    {
        ArgumentNullException.ThrowIfNull(distance);
        return new DistanceLoss(distance);
    }

    private sealed class DistanceLoss(Distance distance) : Reconstruction
    {
        public override string Name => distance.Name;

        public override Tensor Of(Tensor output, Tensor x)
        {
            Guard.SameShape(x, output);
            using var difference = output.sub(x);
            return distance.Of(difference);
        }
    }

    private sealed class BernoulliLoss : Reconstruction
    {
        public override string Name => "bernoulli";

        // (l + |l|) / 2 - l x + log(1 + exp(-|l|)) neither overflows nor loses digits, and at 0 its gradient is the true one, which that of
        // max(l, 0) would not be.
        public override Tensor Of(Tensor output, Tensor x)
        {
            Guard.SameShape(x, output);
            using var scope = NewDisposeScope();
            var size = output.abs();
            var tail = size.neg().exp().Add(1.0).log();
            return output.Add(size).Mul(0.5).sub(output.mul(x)).Add(tail).MoveToOuterDisposeScope();
        }
    }

    private sealed class FixedGaussianLoss(double logVariance) : Reconstruction
    {
        public override string Name => "gaussian";

        public override Tensor Of(Tensor output, Tensor x)
        {
            Guard.SameShape(x, output);
            using var scope = NewDisposeScope();
            var scaled = output.sub(x).Square().Mul(0.5 * Math.Exp(-logVariance));
            return scaled.Add(0.5 * (logVariance + Math.Log(2.0 * Math.PI))).MoveToOuterDisposeScope();
        }
    }

    private sealed class SharedGaussianLoss(Tensor logVariance) : Reconstruction
    {
        public override string Name => "gaussian-shared-scale";

        public override Tensor Of(Tensor output, Tensor x)
        {
            Guard.SameShape(x, output);
            using var density = GaussianMath.LogDensity(x, output, logVariance);
            return density.neg();
        }
    }

    private sealed class LearnedGaussianLoss : Reconstruction
    {
        public override string Name => "gaussian-learned-scale";

        public override Tensor Of(Tensor output, Tensor x)
        {
            ArgumentNullException.ThrowIfNull(x);
            var expected = x.shape;
            if (expected.Length < 2)
                throw new ArgumentException($"A learned scale needs samples [B, C, ...], got {Guard.Format(expected)}.", nameof(x));
            var channels = expected[1];
            expected[1] = 2 * channels;
            Guard.Shape(output, expected);
            using var mean = output.narrow(1, 0, channels);
            using var logVariance = output.narrow(1, channels, channels);
            using var density = GaussianMath.LogDensity(x, mean, logVariance);
            return density.neg();
        }
    }
}
