using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Where <see cref="SeededDropout"/> draws from. TorchSharp's own dropout takes no generator, so that a resumed run could not repeat its
/// draws; here a training step names the generator of its step around the forward pass.
/// </summary>
public static class DropoutRandom
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
