namespace Diffusion.Core;

/// <summary>
/// A rule by which weights move along gradients. An object of this kind holds settings only and may serve several trainers; what it
/// remembers of a run is in the <see cref="IOptimizerState"/> that it starts.
/// </summary>
public interface IOptimizer
{
    /// <summary>Recognises the rule in a checkpoint: <c>AdamW</c>.</summary>
    string Name { get; }

    /// <summary>The beginning of a run.</summary>
    /// <param name="layout">How the parameters lie in the buffers.</param>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    IOptimizerState Start(FlatLayout layout);
}
