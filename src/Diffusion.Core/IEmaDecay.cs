namespace Diffusion.Core;

/// <summary>How much of an exponential moving average of the weights survives one step, as a function of that step.</summary>
public interface IEmaDecay
{
    /// <summary>The d of <c>average = d average + (1 - d) weights</c>, taken after a step.</summary>
    /// <param name="step">The number of steps up to and including that one: 1 for the first.</param>
    /// <returns>In [0, 1].</returns>
    double At(long step);
}
