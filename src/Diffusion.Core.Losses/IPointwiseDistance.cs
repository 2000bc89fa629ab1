using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>How far a prediction is from its target, element by element.</summary>
public interface IPointwiseDistance
{
    /// <summary>The field's name of the distance, such as <c>l2</c>.</summary>
    string Name { get; }

    /// <summary>The distance of each element.</summary>
    /// <param name="difference">[...] prediction minus target; not changed.</param>
    /// <returns>The shape of <paramref name="difference"/>, with gradients, and always a new tensor; the caller's.</returns>
    Tensor Of(Tensor difference);
}
