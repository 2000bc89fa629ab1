using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// A numerical method that computes one step of a trajectory. It must be a pure function of its argument: the same step gives the same
/// result, regardless of earlier calls. The step contains the sample, grid, history, network and noise.
/// </summary>
public interface ISolver
{
    /// <summary>The number of earlier steps that the method uses. The default is 0: a one-step method.</summary>
    int HistoryLength => 0;

    /// <summary>Throws if the method does not support a grid. It is called before sampling starts.</summary>
    /// <exception cref="ArgumentException">The method does not support the grid; the message contains the reason.</exception>
    void Validate(TimeGrid grid)
    {
    }

    /// <summary>Computes x at the next level of the grid.</summary>
    /// <param name="step">The start and the target of the step, and the prediction at its start.</param>
    /// <returns>A new tensor of the shape of <see cref="SolverStep.Sample"/>. The caller must dispose it.</returns>
    Tensor Step(SolverStep step);
}

/// <summary>An earlier step of a trajectory, for multistep methods. Owns its tensors.</summary>
public sealed class PastStep : IDisposable
{
    private readonly SharedTensor _sample;

    /// <summary>Initializes a new instance of the <see cref="PastStep"/> class.</summary>
    /// <param name="sample">[B, ...] the sample at the start of the step. Ownership passes to the step.</param>
    /// <param name="prediction">The prediction for the sample. Ownership passes to the step.</param>
    public PastStep(Tensor sample, ModelPrediction prediction)
        : this(new SharedTensor(Guard.NotNull(sample)), prediction)
    {
    }

    internal PastStep(SharedTensor sample, ModelPrediction prediction) => (_sample, Prediction) = (sample, prediction);

    /// <summary>[B, ...] the sample at the start of the step.</summary>
    public Tensor Sample => _sample.Tensor;

    /// <summary>The prediction at the start of the step.</summary>
    public ModelPrediction Prediction { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sample.Dispose();
        Prediction.Dispose();
    }
}
