using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>One moving average of the weights.</summary>
/// <param name="Name">Its name among those of a run.</param>
/// <param name="Values">[N].</param>
/// <param name="Decay">How fast it forgets.</param>
internal sealed record NamedAverage(string Name, Tensor Values, IEmaDecay Decay);
