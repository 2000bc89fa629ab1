using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>An elementwise reconstruction loss of the output of a decoder: a distance, or -log p(x | z) in nats.</summary>
public abstract class Reconstruction
{
    /// <summary>The standard name of the loss, such as <c>bernoulli</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Computes the loss of each element.</summary>
    /// <param name="output">
    /// The output of the decoder. It has the shape of <paramref name="x"/> unless the loss specifies another.
    /// </param>
    /// <param name="x">[B, ...] the data.</param>
    /// <returns>
    /// The losses, with the shape of <paramref name="x"/> and with gradients. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">The output does not have the required shape.</exception>
    public abstract Tensor Of(Tensor output, Tensor x);

    /// <summary>The absolute error.</summary>
    public static Reconstruction L1 { get; } = Of(Distance.L1);

    /// <summary>The squared error.</summary>
    public static Reconstruction L2 { get; } = Of(Distance.L2);

    /// <summary>
    /// -log Bernoulli(x; sigmoid(output)), the binary cross-entropy with logits, for data in [0, 1] (Kingma and Welling 2014).
    /// </summary>
    public static Reconstruction Bernoulli { get; } = new BernoulliLoss();

    /// <summary>
    /// -log N(x; mean, exp(logVariance)) for a decoder that returns both: [B, 2C, ...], with the mean in the first half of the
    /// channels and the log variance in the second.
    /// </summary>
    public static Reconstruction LearnedGaussian { get; } = new LearnedGaussianLoss();

    /// <summary>Creates the loss -log N(x; output, std^2) with a fixed standard deviation.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="std"/> is not finite and greater than 0.</exception>
    public static Reconstruction Gaussian(double std = 1.0) => new FixedGaussianLoss(2.0 * Math.Log(Guard.Positive(std)));

    /// <summary>
    /// Creates the loss -log N(x; output, exp(logVariance)) with a log variance that is learned together with the decoder and shared
    /// by all data (Rybkin et al. 2021, "sigma-VAE"; logvar of latent diffusion).
    /// </summary>
    /// <param name="logVariance">
    /// The log variance, a parameter that broadcasts against the data. The caller must dispose it after the last use of the loss.
    /// </param>
    public static Reconstruction Gaussian(Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(logVariance);
        return new SharedGaussianLoss(logVariance);
    }

    /// <summary>Creates the loss that is the elementwise distance between output and data.</summary>
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

        // (l + |l|) / 2 - l x + log(1 + exp(-|l|)) does not overflow, and its gradient at l = 0 is correct, unlike that of the form with
        // max(l, 0).
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
                throw new ArgumentException($"A learned scale requires samples [B, C, ...], got {Guard.Format(expected)}.", nameof(x));
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
