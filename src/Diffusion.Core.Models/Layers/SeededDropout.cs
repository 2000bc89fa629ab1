using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Dropout with masks drawn from <see cref="TrainingRandom"/>. In training mode, each element is set to zero with probability p and
/// otherwise multiplied by 1/(1-p). In evaluation mode, and for p = 0, the input is not changed.
/// </summary>
/// <remarks>Source: Srivastava et al. 2014.</remarks>
public sealed class SeededDropout : nn.Module<Tensor, Tensor>
{
    /// <summary>Creates a dropout layer with a given probability.</summary>
    /// <param name="probability">p, the probability that an element is set to zero, in [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is outside [0, 1).</exception>
    public SeededDropout(double probability)
        : base(nameof(SeededDropout))
    {
        if (!(probability >= 0 && probability < 1))
            throw new ArgumentOutOfRangeException(
                nameof(probability), probability, Invariant($"The probability must lie in [0, 1), got {probability}."));
        Probability = probability;
    }

    /// <summary>p, the probability that an element is set to zero.</summary>
    public double Probability { get; }

    /// <summary>Returns the input with some elements set to zero.</summary>
    /// <param name="input">A floating point tensor of any shape.</param>
    /// <returns>A new tensor object with the shape of <paramref name="input"/>. The caller must dispose it.</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (Probability == 0 || !training)
            return input.alias();
        using var keep = Keep(input);
        keep.Mul_(1 / (1 - Probability));
        return input.mul(keep);
    }

    private Tensor Keep(Tensor input)
    {
        // The numbers are drawn in float32 for inputs of any type, so that the mask of a seed does not depend on the precision.
        var generator = TrainingRandom.Current;
        var device = generator is null ? input.device : generator.device;
        using var uniform = rand(input.shape, dtype: ScalarType.Float32, device: device, generator: generator);
        using var kept = uniform.Ge(Probability);
        return kept.to(input.dtype, input.device);
    }
}

/// <summary>
/// The generator of the random numbers that modules such as <see cref="SeededDropout"/> draw in training. The dropout of TorchSharp does
/// not accept a generator, so a resumed run could not repeat its masks. A training step therefore sets its generator during the forward
/// pass.
/// </summary>
/// <remarks>
/// The generator is set per thread because the forward methods of a network have no parameter for it. Code that can receive a generator as
/// an argument, such as a loss, should not read <see cref="Current"/>: a trainer passes the same generator to losses.
/// </remarks>
public static class TrainingRandom
{
    [ThreadStatic]
    private static Generator? _current;

    /// <summary>The generator in use on this thread, or <see langword="null"/> for the default generator.</summary>
    public static Generator? Current => _current;

    /// <summary>Uses a generator on this thread until the returned scope is disposed. Scopes can be nested.</summary>
    /// <param name="generator">
    /// The generator. It is not disposed. Masks are drawn on its device and moved to the device of the input.
    /// </param>
    public static IDisposable Use(Generator generator)
    {
        ArgumentNullException.ThrowIfNull(generator);
        var scope = new Scope(_current);
        _current = generator;
        return scope;
    }

    private sealed class Scope(Generator? previous) : IDisposable
    {
        private bool _disposed;

        public void Dispose()
        {
            if (_disposed)
                return;
            _disposed = true;
            _current = previous;
        }
    }
}
