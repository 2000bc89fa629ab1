namespace Diffusion.Core;

/// <summary>Neighbours in the flat buffers that belong to one <see cref="ParameterGroup"/>.</summary>
/// <param name="Offset">The first element.</param>
/// <param name="Count">The number of elements, with the gaps between parameters.</param>
/// <param name="LearningRateScale">What the learning rate is multiplied by.</param>
/// <param name="WeightDecayScale">What the weight decay is multiplied by.</param>
public sealed record ParameterRange(long Offset, long Count, double LearningRateScale, double WeightDecayScale);
