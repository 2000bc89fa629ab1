using static TorchSharp.torch;

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

/// <summary>What an optimizer remembers of a run.</summary>
public interface IOptimizerState : IDisposable
{
    /// <summary>
    /// Everything the next steps depend on, by name. A checkpoint holds it and reads it back into the same tensors; one of [N] is held as
    /// one tensor for each parameter.
    /// </summary>
    IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>One step along gradients that are finite. Must not wait for the device.</summary>
    /// <param name="weights">[N], changed in place.</param>
    /// <param name="gradients">[N]; may be changed, as they are not used again.</param>
    /// <param name="learningRate">The rate of this step.</param>
    /// <param name="apply">
    /// [] float64 on the device: 1 to take the step; 0 to leave weights and state as they are, bit for bit (the gradients are zero then).
    /// </param>
    void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply);
}

/// <summary>Parameters that an optimizer treats alike. A parameter belongs to the first group that matches it.</summary>
/// <param name="Matches">From the name and the shape of a parameter to whether it belongs here.</param>
public sealed record ParameterGroup(Func<string, IReadOnlyList<long>, bool> Matches)
{
    /// <summary>
    /// No weight decay for parameters of fewer than two dimensions, which are the biases and the scales of norms: decay is there to keep
    /// matrices small (as in Loshchilov and Hutter's own code, and most since).
    /// </summary>
    public static IReadOnlyList<ParameterGroup> NoDecayOnNormsAndBiases { get; }
        = [new ParameterGroup((_, shape) => shape.Count < 2) { WeightDecayScale = 0.0 }];

    /// <summary>What the learning rate is multiplied by: 1.</summary>
    public double LearningRateScale { get; init; } = 1.0;

    /// <summary>What the weight decay of the optimizer is multiplied by: 1.</summary>
    public double WeightDecayScale { get; init; } = 1.0;
}

/// <summary>Neighbours in the flat buffers that belong to one <see cref="ParameterGroup"/>.</summary>
/// <param name="Offset">The first element.</param>
/// <param name="Count">The number of elements, with the gaps between parameters.</param>
/// <param name="LearningRateScale">What the learning rate is multiplied by.</param>
/// <param name="WeightDecayScale">What the weight decay is multiplied by.</param>
public sealed record ParameterRange(long Offset, long Count, double LearningRateScale, double WeightDecayScale);
