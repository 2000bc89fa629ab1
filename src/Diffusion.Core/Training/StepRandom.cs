using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The random draws of one step. They are drawn for the whole batch, as a function of (seed, step, stream), and the part for the
/// current samples is returned, so that results do not depend on how a batch is split.
/// </summary>
public sealed class StepRandom : IDisposable
{
    private readonly long _seed;
    private readonly long _rank;
    private readonly Dictionary<long, Tensor> _drawn = [];

    internal StepRandom(long seed, long step, long rank, long batchSize)
        => (_seed, Step, _rank, BatchSize, Count) = (seed, step, rank, batchSize, batchSize);

    /// <summary>
    /// The generator of the random numbers that the network and the loss draw during the forward pass, on the device of the module. It is
    /// also <see cref="TrainingRandom.Current"/> of the thread. These draws depend on how a batch is split.
    /// </summary>
    public required Generator Generator { get; init; }

    /// <summary>The number of steps before this one: 0 for the first.</summary>
    public long Step { get; }

    /// <summary>B, the number of samples of the whole batch.</summary>
    public long BatchSize { get; }

    /// <summary>The index of the first sample of the current part.</summary>
    public long First { get; private set; }

    /// <summary>The number of samples of the current part.</summary>
    public long Count { get; private set; }

    /// <summary>Returns standard normal noise for the current part.</summary>
    /// <param name="stream">A number that identifies the draws. Custom trainers can use 100 and above.</param>
    /// <param name="shape">The shape of the part: [<see cref="Count"/>, ...].</param>
    /// <param name="dtype">The type of the noise.</param>
    /// <param name="device">The device on which the noise is drawn.</param>
    /// <returns>A view that is valid until this object or the current dispose scope is disposed.</returns>
    public Tensor Normal(long stream, ReadOnlySpan<long> shape, ScalarType dtype, Device device)
    {
        long[] whole = [BatchSize, .. shape[1..]];
        return Draw(stream, device, generator => randn(whole, dtype: dtype, device: device, generator: generator));
    }

    /// <summary>Returns draws from any distribution for the current part.</summary>
    /// <param name="stream">A number that identifies the draws. Custom trainers can use 100 and above.</param>
    /// <param name="device">The device of the generator; <see langword="null"/> for the CPU.</param>
    /// <param name="draw">Draws [B, ...] for the whole batch from the generator. It is called once per step and stream.</param>
    /// <returns>[<see cref="Count"/>, ...] a view that is valid until this object or the current dispose scope is disposed.</returns>
    public Tensor Draw(long stream, Device? device, Func<Generator, Tensor> draw)
    {
        ArgumentNullException.ThrowIfNull(draw);
        if (!_drawn.TryGetValue(stream, out var all))
        {
            using var generator = SeedSequence.Generator(device, _seed, stream, Step, _rank);
            all = draw(generator).DetachFromDisposeScope();
            _drawn.Add(stream, all);
        }

        return Count == BatchSize ? all.alias() : all.narrow(0, First, Count);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _drawn.Values)
            tensor.Dispose();
        _drawn.Clear();
    }

    /// <summary>Selects another part of the batch.</summary>
    internal void MoveTo(long first, long count) => (First, Count) = (first, count);
}

/// <summary>
/// The streams of the random draws of a training run. Together with the seed, the step and the rank, a stream determines its draws.
/// </summary>
internal static class RandomStream
{
    /// <summary>The order of the data: (seed, epoch).</summary>
    public const long Order = 1;

    /// <summary>The times of a batch: (seed, step, rank).</summary>
    public const long Timesteps = 2;

    /// <summary>The noise of a batch: (seed, step, rank).</summary>
    public const long Noise = 3;

    /// <summary>The numbers that the network draws during training, for example for dropout: (seed, step, rank).</summary>
    public const long Network = 4;

    /// <summary>The augmentation of a sample: (seed, epoch, index of the sample).</summary>
    public const long Augmentation = 5;
}

/// <summary>
/// Converts the input of a network to the type and memory order in which it computes, and its output back to the type of the input.
/// </summary>
internal sealed class NetworkInput(ITrainableDenoiser model, TrainerOptions options) : DelegatingDenoiser(model)
{
    private readonly ScalarType? _narrow = options.Precision.Narrow;
    private readonly bool _channelsLast = options.ChannelsLast;

    /// <inheritdoc/>
    public override bool IsTransparent => true;

    /// <summary>Returns whether the options require a conversion.</summary>
    public static bool Needed(TrainerOptions options) => options.ChannelsLast || options.Precision.Narrow is not null;

    /// <inheritdoc/>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var input = _narrow is { } type ? xt.to(type) : xt;
        if (_channelsLast && input.dim() == 4)
            input = ChannelsLast.Of(input);
        using var told = _narrow is { } dtype ? condition?.To(dtype) : null;
        return Inner.Predict(input, t, told ?? condition).to(xt.dtype).MoveToOuterDisposeScope();
    }
}
