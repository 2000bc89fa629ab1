using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// One step of a numerical method, as a pure function of its argument: same call, same answer, whatever came before. Sample, grid,
/// history, network and noise are all in the step.
/// </summary>
public interface ISolver
{
    /// <summary>How many earlier steps a step reads; 0 for a one-step method.</summary>
    int HistoryLength => 0;

    /// <summary>Refuses a grid that this method cannot walk; called once, when a sampler is made.</summary>
    /// <exception cref="ArgumentException">The grid does not fit, with the reason.</exception>
    void Validate(TimeGrid grid)
    {
    }

    /// <summary>x at the next level of the grid.</summary>
    /// <param name="step">Where the step starts and leads, and what the network says.</param>
    /// <returns>A new tensor of the shape of <see cref="SolverStep.Sample"/>; the caller's.</returns>
    Tensor Step(SolverStep step);
}

/// <summary>An earlier step of a trajectory, as multistep methods need it. Owns its tensors.</summary>
public sealed class PastStep : IDisposable
{
    private readonly SharedTensor _sample;

    /// <summary>A step.</summary>
    /// <param name="sample">[B, ...] the sample that the step left from. Ownership passes to the step.</param>
    /// <param name="prediction">The prediction there. Ownership passes to the step.</param>
    public PastStep(Tensor sample, ModelPrediction prediction)
        : this(new SharedTensor(Guard.NotNull(sample)), prediction)
    {
    }

    internal PastStep(SharedTensor sample, ModelPrediction prediction) => (_sample, Prediction) = (sample, prediction);

    /// <summary>[B, ...] the sample that the step left from.</summary>
    public Tensor Sample => _sample.Tensor;

    /// <summary>The prediction there.</summary>
    public ModelPrediction Prediction { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sample.Dispose();
        Prediction.Dispose();
    }
}
