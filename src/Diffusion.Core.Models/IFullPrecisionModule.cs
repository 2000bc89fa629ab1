using TorchSharp.Modules;

namespace Diffusion.Core.Models;

/// <summary>
/// A module whose own parameters stay in float32 when the rest of a network has lower precision, such as a norm. It answers in the type
/// of its input all the same.
/// </summary>
public interface IFullPrecisionModule
{
    /// <summary>Its own parameters, at least one: the very objects that are registered; not the caller's.</summary>
    IEnumerable<Parameter> FullPrecisionParameters { get; }
}
