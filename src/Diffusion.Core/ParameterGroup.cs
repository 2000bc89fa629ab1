namespace Diffusion.Core;

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
