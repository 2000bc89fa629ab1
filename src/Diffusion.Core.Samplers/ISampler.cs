using Diffusion.Core.Models;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Turns noise into data with the help of a denoiser. Implement this one method for a sampler of your own;
/// <see cref="SamplerExtensions"/> makes the rest of it.
/// </summary>
public interface ISampler
{
    /// <summary>
    /// The trajectory, computed while it is enumerated: first the noise, then the state after each step. Enumerating it again starts
    /// again, and gives the same states where the noise comes from the seed.
    /// </summary>
    /// <remarks>
    /// Nothing is allocated before the first state is asked for, and everything is freed when the enumerator is disposed, which
    /// <c>foreach</c> does however it is left. Enumerate on one thread.
    /// </remarks>
    /// <param name="denoiser">Its <see cref="IDenoiser.BeginInference"/> lasts as long as the enumeration.</param>
    /// <param name="request">What to sample.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <exception cref="ArgumentException">
    /// The request does not fit together; or, while enumerating, the answer of the denoiser does not have the shape of its input.
    /// </exception>
    /// <exception cref="OperationCanceledException">While enumerating: the token was cancelled.</exception>
    IEnumerable<SamplerState> Steps(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken = default);
}
