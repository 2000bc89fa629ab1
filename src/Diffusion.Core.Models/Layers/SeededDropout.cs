using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Dropout that draws its mask from <see cref="TrainingRandom"/>: in training mode each element is zero with probability p and otherwise
/// scaled by 1/(1-p); in evaluation mode, and for p = 0, the identity.
/// </summary>
/// <remarks>Source: Srivastava et al. 2014.</remarks>
public sealed class SeededDropout : nn.Module<Tensor, Tensor>
{
    /// <summary>Dropout of a given probability.</summary>
    /// <param name="probability">In [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside [0, 1).</exception>
    public SeededDropout(double probability)
        : base(nameof(SeededDropout))
    {
        if (!(probability >= 0 && probability < 1))
            throw new ArgumentOutOfRangeException(
                nameof(probability), probability, $"The probability must lie in [0, 1), got {probability}.");
        Probability = probability;
    }

    /// <summary>p, the probability that an element is dropped.</summary>
    public double Probability { get; }

    /// <summary>The input with elements dropped.</summary>
    /// <param name="input">Any shape, floating point.</param>
    /// <returns>The shape of <paramref name="input"/>, always a new tensor object; the caller's.</returns>
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
        // Drawn in float32 whatever the input is, so that the mask of a seed does not depend on the precision.
        var generator = TrainingRandom.Current;
        var device = generator is null ? input.device : generator.device;
        using var uniform = rand(input.shape, dtype: ScalarType.Float32, device: device, generator: generator);
        using var kept = uniform.Ge(Probability);
        return kept.to(input.dtype, input.device);
    }
}

/// <summary>
/// Where <see cref="SeededDropout"/> draws from. TorchSharp's own dropout takes no generator, so that a resumed run could not repeat its
/// draws; here a training step names the generator of its step around the forward pass.
/// </summary>
public static class TrainingRandom
{
    [ThreadStatic]
    private static Generator? _current;

    /// <summary>The generator in use on this thread, or null for the default one.</summary>
    public static Generator? Current => _current;

    /// <summary>Draws from a generator on this thread until the returned scope is disposed. Scopes nest.</summary>
    /// <param name="generator">Not disposed here. Masks are drawn on its device and moved where they are needed.</param>
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
