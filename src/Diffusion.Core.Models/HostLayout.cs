using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The layout in which a network over images computes: channels-last on the CPU in float32, where the norms of all its widths have a kernel
/// for it, and elsewhere the layout of the input.
/// </summary>
/// <param name="widths">The channels of each level.</param>
internal sealed class HostLayout(IEnumerable<int> widths)
{
    private readonly bool _hasKernels = widths.All(width => width % GroupNormKernel.Strip == 0);

    /// <summary>The first convolution of the network.</summary>
    /// <param name="convolution">From [B, C, H, W] to [B, width, H, W].</param>
    /// <param name="x">[B, C, H, W].</param>
    /// <returns>[B, width, H, W] in the layout of the network. The caller must dispose it.</returns>
    public Tensor Enter(Convolution convolution, Tensor x)
    {
        if (!IsChanged(x))
            return convolution.call(x);
        using var scope = NewDisposeScope();

        // One channel has the same order in both layouts, and the convolution then gives the default one.
        return ChannelsLast.Of(convolution.call(ChannelsLast.Of(x))).MoveToOuterDisposeScope();
    }

    /// <summary>The last convolution of the network.</summary>
    /// <param name="convolution">From [B, width, H, W] to [B, C, H, W].</param>
    /// <param name="x">[B, width, H, W].</param>
    /// <returns>[B, C, H, W] in the default layout where <see cref="Enter"/> changed it. The caller must dispose it.</returns>
    public Tensor Leave(Convolution convolution, Tensor x)
    {
        if (!IsChanged(x))
            return convolution.call(x);
        using var output = convolution.call(x);
        return output.contiguous();
    }

    private bool IsChanged(Tensor x) => _hasKernels && x.dim() == 4 && HostVector.IsFast(x);
}
