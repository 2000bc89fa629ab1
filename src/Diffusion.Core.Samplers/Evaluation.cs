using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>What the network says at one point of a trajectory, in the two forms that every solver is written in. Owns its tensors.</summary>
/// <param name="time">The time it was evaluated at.</param>
/// <param name="level">alpha and sigma at that time.</param>
/// <param name="data">The predicted x_0, after clipping; taken over.</param>
/// <param name="noise">The eps that goes with it, re-derived where x_0 was clipped; taken over.</param>
public sealed class Evaluation(double time, NoiseLevel level, Tensor data, Tensor noise) : IDisposable
{
    /// <summary>The time it was evaluated at.</summary>
    public double Time { get; } = time;

    /// <summary>alpha and sigma at that time.</summary>
    public NoiseLevel Level { get; } = level;

    /// <summary>[B, ...] the predicted x_0.</summary>
    public Tensor Data { get; } = data;

    /// <summary>[B, ...] the predicted eps.</summary>
    public Tensor Noise { get; } = noise;

    /// <inheritdoc/>
    public void Dispose()
    {
        Data.Dispose();
        Noise.Dispose();
    }
}
