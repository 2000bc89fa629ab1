using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>How a batch of numbers is drawn from [0, 1), each of them evenly, together perhaps with less chance than alone.</summary>
public interface IUnitDraws
{
    /// <summary>The draws of a batch.</summary>
    /// <param name="count">B, at least 1.</param>
    /// <param name="generator">A generator on the CPU; every draw comes from it.</param>
    /// <returns>[B] numbers in [0, 1).</returns>
    double[] Draw(int count, Generator generator);
}
