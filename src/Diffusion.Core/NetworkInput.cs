using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A network that computes in another type, or order of memory, than the loss around it.</summary>
internal sealed class NetworkInput(ITrainableDenoiser model, TrainerOptions options) : IDenoiser
{
    private readonly ScalarType? _narrow = options.Precision.Narrow;
    private readonly bool _channelsLast = options.ChannelsLast;

    /// <inheritdoc/>
    public Device? Device => model.Device;

    /// <summary>Whether anything is to be changed.</summary>
    public static bool Needed(TrainerOptions options) => options.ChannelsLast || options.Precision.Narrow is not null;

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var input = _narrow is { } type ? xt.to(type) : xt;
        if (_channelsLast && input.dim() == 4)
            input = ChannelsLast.Of(input);
        using var told = _narrow is { } dtype ? condition?.To(dtype) : null;
        return model.Predict(input, t, told ?? condition).to(xt.dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => model.BeginInference();
}
