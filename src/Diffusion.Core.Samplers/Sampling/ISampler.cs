using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Generates samples with a model. A custom sampler implements <see cref="Steps"/>; <see cref="SamplerExtensions"/> provides the other
/// methods.
/// </summary>
public interface ISampler
{
    /// <summary>
    /// Returns the trajectory: first the initial noise, then the state after each step. It is computed while it is enumerated. A second
    /// enumeration starts from the beginning, and returns the same states if the noise is drawn from the seed.
    /// </summary>
    /// <remarks>
    /// Nothing is allocated before the first state is requested. The caller must dispose each state. All other resources are freed when the
    /// enumerator is disposed, which <c>foreach</c> does even if the loop ends early. A trajectory must be enumerated on one thread.
    /// </remarks>
    /// <param name="model">The model. Its inference scope remains open during the enumeration.</param>
    /// <param name="request">The shape, the seed or noise, the condition, the device and the type of the samples.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <exception cref="ArgumentException">
    /// The request is not valid, or the sampler does not support the model. During the enumeration: the output of the network does not have
    /// the shape of its input.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled during the enumeration.</exception>
    IEnumerable<SamplerState> Steps(DiffusionModel model, SamplingRequest request, CancellationToken cancellationToken = default);
}

/// <summary>Extension methods for samplers.</summary>
public static class SamplerExtensions
{
    /// <summary>Samples a batch from a seed.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="model">The model. Its inference scope is open during sampling.</param>
    /// <param name="shape">[B, ...] the shape of the batch, such as <c>[64, 1, 28, 28]</c>.</param>
    /// <param name="seed">The root seed. The noise of sample i depends only on the seed and i.</param>
    /// <param name="condition">
    /// The condition of the whole batch, passed to the network with x_t and t. It is not disposed. The default is <see langword="null"/>:
    /// no condition.
    /// </param>
    /// <param name="progress">Receives a report after each step. The default is <see langword="null"/>: no reports.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>The finished batch, in float32 on the device of the model. The caller must dispose the tensor.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public static Tensor Sample(
        this ISampler sampler,
        DiffusionModel model,
        long[] shape,
        long seed,
        Condition? condition = null,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
        => sampler.Sample(
            model, new SamplingRequest { Shape = shape, Seed = seed, Condition = condition }, progress, cancellationToken);

    /// <summary>Samples the batch that a request specifies.</summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="model">The model. Its inference scope is open during sampling.</param>
    /// <param name="request">The shape, the seed or noise, the condition, the device and the type of the samples.</param>
    /// <param name="progress">Receives a report after each step. The default is <see langword="null"/>: no reports.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>The finished batch. The caller must dispose the tensor.</returns>
    /// <inheritdoc cref="ISampler.Steps" path="/exception"/>
    public static Tensor Sample(
        this ISampler sampler,
        DiffusionModel model,
        SamplingRequest request,
        IProgress<SamplingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(request);
        Tensor? result = null;
        foreach (var step in sampler.Steps(model, request, cancellationToken))
        {
            using var state = step;
            if (state.Step > 0)
                progress?.Report(new SamplingProgress(state.Step, state.Steps));
            if (state.Step == state.Steps)
                result = state.Sample.to(RequestStart.TypeOf(request), copy: true);
        }

        return result ?? throw new InvalidOperationException($"{sampler.GetType().Name} ended before its last step.");
    }
}

/// <summary>
/// The state of a trajectory between two steps. It owns its tensors, so it can be used after the enumeration continues, for example in
/// <c>sampler.Steps(model, request).ToList()</c>. The caller must dispose it, and must not modify its tensors in place.
/// </summary>
public sealed class SamplerState : IDisposable
{
    private readonly Tensor? _denoised;
    private MemoryPressure? _pressure;
    private bool _disposed;

    /// <summary>The number of completed steps: 0 for the initial noise, N for the finished sample.</summary>
    public required int Step { get; init; }

    /// <summary>N, the number of steps of the whole trajectory.</summary>
    public required int Steps { get; init; }

    /// <summary>alpha and sigma of <see cref="Sample"/>.</summary>
    public required NoiseLevel Level { get; init; }

    /// <summary>[B, ...] x after <see cref="Step"/> steps. Owned by the state.</summary>
    public required Tensor Sample { get; init; }

    /// <summary>
    /// [B, ...] the x_0 predicted at the start of the last step. It is <see langword="null"/> before the first step, if the method did not
    /// call the network there, and for an <see cref="AdaptiveSampler"/>. Owned by the state.
    /// </summary>
    public Tensor? Denoised
    {
        get => _denoised ?? Prediction?.X0;
        init => _denoised = value;
    }

    /// <summary>The prediction from which <see cref="Denoised"/> is computed when it is read.</summary>
    internal ModelPrediction? Prediction { get; init; }

    /// <summary>The sample, shared with other owners, or <see langword="null"/> if the state is the only owner.</summary>
    internal SharedTensor? Shared { get; init; }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        if (Shared is not null)
            Shared.Dispose();
        else
            Sample.Dispose();
        _denoised?.Dispose();
        Prediction?.Dispose();
        _pressure?.Dispose();
    }

    /// <summary>
    /// Adds memory pressure for a state that is not disposed before the next step, because the garbage collector does not measure the
    /// memory of tensors.
    /// </summary>
    internal void Outlive()
    {
        if (!_disposed && Shared is not null)
            _pressure = new MemoryPressure(Shared.Bytes);
    }

    private sealed class MemoryPressure : IDisposable
    {
        private readonly long _bytes;

        public MemoryPressure(long bytes)
        {
            _bytes = bytes;
            GC.AddMemoryPressure(bytes);
        }

        ~MemoryPressure() => GC.RemoveMemoryPressure(_bytes);

        public void Dispose()
        {
            GC.RemoveMemoryPressure(_bytes);
            GC.SuppressFinalize(this);
        }
    }
}

/// <summary>A tensor with several owners. It is freed when the last of them is disposed.</summary>
internal sealed class SharedTensor(Tensor tensor) : IDisposable
{
    private int _owners = 1;

    /// <summary>The tensor, which belongs to no dispose scope.</summary>
    public Tensor Tensor { get; } = tensor.DetachFromDisposeScope();

    /// <summary>The memory of the tensor in bytes, at least 1.</summary>
    public long Bytes => Math.Max(1, Tensor.numel() * Tensor.element_size());

    /// <summary>Adds an owner of the tensor and returns this object.</summary>
    public SharedTensor Share()
    {
        Interlocked.Increment(ref _owners);
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _owners) == 0)
            Tensor.Dispose();
    }
}

/// <summary>The progress of a sampler.</summary>
/// <param name="Step">The number of completed steps, 1..<paramref name="Steps"/>.</param>
/// <param name="Steps">N, the number of steps of the whole trajectory.</param>
public readonly record struct SamplingProgress(int Step, int Steps);
