namespace Diffusion.Core;

/// <summary>The learning rate as a function of the optimizer step, and of nothing else.</summary>
public interface ILearningRateSchedule
{
    /// <summary>The rate of one step.</summary>
    /// <param name="step">The number of steps before it: 0 for the first.</param>
    /// <returns>Finite and not negative.</returns>
    double At(long step);
}
