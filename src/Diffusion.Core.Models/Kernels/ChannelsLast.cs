using System.Diagnostics;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The channels-last memory layout of images, in which the channels of a pixel are adjacent. Values and shapes do not change; convolutions
/// are faster with this layout on some devices.
/// </summary>
/// <remarks>
/// <para>A network over images preserves the layout from layer to layer if its input and the weights of its convolutions have it.</para>
/// <para>On the CPU, in float32, <see cref="UNet"/> and the convolutional autoencoders compute in this layout automatically if all of their
/// widths are multiples of 16. Their outputs have the default layout, and the layout of inputs and weights does not change.</para>
/// </remarks>
public static class ChannelsLast
{
    /// <summary>
    /// The ratio of times below which the layout is considered faster. Smaller differences may be due to the noise of the measurement.
    /// </summary>
    private const double WorthIt = 0.97;

    /// <summary>Returns a tensor with its second dimension innermost in memory.</summary>
    /// <param name="x">[B, C, ...] images, or [out, in, ...] weights of a convolution.</param>
    /// <returns>A tensor of the same shape and values, copied if the layout differs. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">There are fewer than three dimensions.</exception>
    public static Tensor Of(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() < 3)
            throw new ArgumentException($"x must be [B, C, ...], got shape {Guard.Format(x.shape)}.", nameof(x));
        using var scope = NewDisposeScope();
        var rank = (int)x.dim();
        long[] last = [0, .. Enumerable.Range(2, rank - 2).Select(d => (long)d), 1];
        long[] back = [0, rank - 1, .. Enumerable.Range(1, rank - 2).Select(d => (long)d)];
        return x.permute(last).contiguous().permute(back).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Measures whether a network is trained faster with this layout on this machine, with forward and backward passes in both layouts.
    /// Call it before the trainer is constructed, to choose the value of the <c>ChannelsLast</c> option of the trainer.
    /// </summary>
    /// <remarks>
    /// Afterwards the values of the weights are unchanged, bit for bit, and the weights have no gradients. The result may differ between
    /// measurements. Store it if a run must be reproducible bit for bit.
    /// </remarks>
    /// <param name="model">The network, on its device, before a trainer for it is constructed.</param>
    /// <param name="xt">[B, C, H, W] noisy images as in training.</param>
    /// <param name="t">[B] the timesteps.</param>
    /// <param name="condition">The condition. The default is <see langword="null"/>: no condition.</param>
    /// <param name="repeats">The number of measurements of each layout, of which the fastest is used. The default is 3.</param>
    /// <returns><see langword="true"/> if the passes take more than 3% less time with this layout.</returns>
    /// <exception cref="ArgumentException">The images do not have four dimensions, or do not match the network.</exception>
    public static bool IsFaster(ITrainableDenoiser model, Tensor xt, Tensor t, Condition? condition = null, int repeats = 3)
    {
        ArgumentNullException.ThrowIfNull(model);
        Guard.Shape(xt, [-1, -1, -1, -1]);
        Guard.InRange(repeats, 1, int.MaxValue);
        using var scope = NewDisposeScope();
        var convolutions = model.Module.parameters().Where(parameter => parameter.dim() == 4).ToArray();
        var last = Of(xt);
        var plain = xt.contiguous();
        var (fastest, fastestLast) = (double.PositiveInfinity, double.PositiveInfinity);
        try
        {
            // The layouts alternate, so that other load on the machine affects both. The first pass of each layout is a warm-up and is not
            // counted.
            for (var k = 0; k <= repeats; k++)
            {
                Lay(convolutions, weight => weight.contiguous());
                var time = Time(model, plain, t, condition);
                Lay(convolutions, Of);
                var timeLast = Time(model, last, t, condition);
                if (k > 0)
                    (fastest, fastestLast) = (Math.Min(fastest, time), Math.Min(fastestLast, timeLast));
            }
        }
        finally
        {
            Lay(convolutions, weight => weight.contiguous());
            foreach (var parameter in model.Module.parameters())
                parameter.grad = null;
        }

        return fastestLast < WorthIt * fastest;
    }

    private static void Lay(IEnumerable<Tensor> weights, Func<Tensor, Tensor> order)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        foreach (var weight in weights)
            weight.set_(order(weight));
    }

    private static double Time(ITrainableDenoiser model, Tensor xt, Tensor t, Condition? condition)
    {
        using var scope = NewDisposeScope();
        var begun = Stopwatch.GetTimestamp();
        var answer = model.Predict(xt, t, condition);
        answer.mul(answer).mean().backward();

        // Waits for the device.
        _ = model.Module.parameters().First(parameter => parameter.grad is not null).grad!.sum().cpu();
        return Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }
}

/// <summary>
/// The layout in which a network over images computes: channels-last on the CPU in float32 if there is a norm kernel for all of its widths,
/// otherwise the layout of the input.
/// </summary>
/// <param name="widths">The number of channels of each level.</param>
internal sealed class HostLayout(IEnumerable<int> widths)
{
    private readonly bool _hasKernels = widths.All(width => width % GroupNormKernel.Strip == 0);

    /// <summary>Applies the first convolution of the network.</summary>
    /// <param name="convolution">Maps [B, C, H, W] to [B, width, H, W].</param>
    /// <param name="x">[B, C, H, W].</param>
    /// <returns>[B, width, H, W] in the layout of the network. The caller must dispose it.</returns>
    public Tensor Enter(Convolution convolution, Tensor x)
    {
        if (!IsChanged(x))
            return convolution.call(x);
        using var scope = NewDisposeScope();

        // With one channel, both layouts are the same in memory, and the output of the convolution has the default layout.
        return ChannelsLast.Of(convolution.call(ChannelsLast.Of(x))).MoveToOuterDisposeScope();
    }

    /// <summary>Applies the last convolution of the network.</summary>
    /// <param name="convolution">Maps [B, width, H, W] to [B, C, H, W].</param>
    /// <param name="x">[B, width, H, W].</param>
    /// <returns>[B, C, H, W] in the default layout if <see cref="Enter"/> changed the layout. The caller must dispose it.</returns>
    public Tensor Leave(Convolution convolution, Tensor x)
    {
        if (!IsChanged(x))
            return convolution.call(x);
        using var output = convolution.call(x);
        return output.contiguous();
    }

    private bool IsChanged(Tensor x) => _hasKernels && x.dim() == 4 && HostVector.IsFast(x);
}
