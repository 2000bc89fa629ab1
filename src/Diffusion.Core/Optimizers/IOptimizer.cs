using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// An optimizer: a rule by which gradients update the weights. It contains settings only and can be shared by several trainers. The state
/// of a run is in the <see cref="IOptimizerState"/> that <see cref="Start"/> returns.
/// </summary>
public interface IOptimizer
{
    /// <summary>The name of the optimizer in a checkpoint, such as <c>AdamW</c>.</summary>
    string Name { get; }

    /// <summary>Creates the state at the beginning of a run.</summary>
    /// <param name="layout">The layout of the parameters in the buffers.</param>
    /// <returns>The state. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    IOptimizerState Start(FlatLayout layout);
}

/// <summary>The state of an optimizer in a run.</summary>
public interface IOptimizerState : IDisposable
{
    /// <summary>
    /// All tensors that the next steps depend on, by name. They are written to checkpoints, and a checkpoint is read into the same tensors.
    /// A tensor [N] is stored as one tensor for each parameter.
    /// </summary>
    IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>Takes one step with finite gradients. Must not wait for the device.</summary>
    /// <param name="weights">[N] the weights. They are changed in place.</param>
    /// <param name="gradients">[N] the gradients. They may be changed, because they are not used again.</param>
    /// <param name="learningRate">The learning rate of this step.</param>
    /// <param name="apply">
    /// [] float64 on the device: 1 to take the step; 0 to leave weights and state unchanged, bit for bit. The gradients are zero in that
    /// case.
    /// </param>
    void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply);
}

/// <summary>A group of parameters with common optimizer settings. A parameter belongs to the first group that matches it.</summary>
/// <param name="Matches">Returns whether a parameter belongs to the group, given its name and shape.</param>
public sealed record ParameterGroup(Func<string, IReadOnlyList<long>, bool> Matches)
{
    /// <summary>
    /// The groups that exclude parameters with fewer than two dimensions, such as biases and the scales of norms, from weight decay,
    /// which is intended for matrices (as in the code of Loshchilov and Hutter and most later code).
    /// </summary>
    public static IReadOnlyList<ParameterGroup> NoDecayOnNormsAndBiases { get; }
        = [new ParameterGroup((_, shape) => shape.Count < 2) { WeightDecayScale = 0.0 }];

    /// <summary>The factor on the learning rate. The default is 1.</summary>
    public double LearningRateScale { get; init; } = 1.0;

    /// <summary>The factor on the weight decay of the optimizer. The default is 1.</summary>
    public double WeightDecayScale { get; init; } = 1.0;
}

/// <summary>The range of the flat buffers that contains the parameters of one <see cref="ParameterGroup"/>.</summary>
/// <param name="Offset">The index of the first element.</param>
/// <param name="Count">The number of elements, including the gaps between parameters.</param>
/// <param name="LearningRateScale">The factor on the learning rate.</param>
/// <param name="WeightDecayScale">The factor on the weight decay.</param>
public sealed record ParameterRange(long Offset, long Count, double LearningRateScale, double WeightDecayScale);
