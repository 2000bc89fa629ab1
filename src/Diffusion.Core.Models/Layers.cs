using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Layers whose initial values this library sets itself, and convolutions of one, two or three dimensions.</summary>
internal static class Layers
{
    /// <summary>A group norm that starts as the plain normalisation: TorchSharp leaves weight and bias uninitialised.</summary>
    public static GroupNorm GroupNorm(long groups, long channels, double epsilon)
    {
        var norm = nn.GroupNorm(groups, channels, epsilon);
        using (no_grad())
        {
            norm.weight.fill_(1);
            norm.bias!.fill_(0);
        }

        return norm;
    }

    /// <summary>A convolution of images.</summary>
    public static Conv2d Conv2d(long inputs, long outputs, long kernel, long stride = 1, long padding = 0)
        => (Conv2d)Convolution(2, inputs, outputs, kernel, stride, padding);

    /// <summary>A 3x3 convolution that keeps the size.</summary>
    public static Conv2d Convolution3x3(long inputs, long outputs) => Conv2d(inputs, outputs, 3, padding: 1);

    /// <summary>
    /// A convolution over [B, C, ...] with as many sizes as it has dimensions. TorchSharp leaves a second handle of the bias to the
    /// finaliser, which would keep its memory after the layer is disposed: the scope frees it, and does not hold the parameters.
    /// </summary>
    public static Convolution Convolution(int dimensions, long inputs, long outputs, long kernel, long stride, long padding, bool bias = true)
    {
        using var scope = NewDisposeScope();
        return dimensions switch
        {
            1 => nn.Conv1d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            2 => nn.Conv2d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            _ => nn.Conv3d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
        };
    }

    /// <summary>A convolution that keeps the size, with an odd kernel.</summary>
    public static Convolution Convolution(int dimensions, long inputs, long outputs, long kernel, bool bias = true)
        => Convolution(dimensions, inputs, outputs, kernel, 1, (kernel - 1) / 2, bias);

    /// <summary>Sets the weight and bias of a convolution to zero.</summary>
    public static void SetZero(Convolution convolution)
    {
        using var guard = no_grad();
        convolution.weight.fill_(0);
        convolution.bias!.fill_(0);
    }

    /// <summary>Requires [B, channels, ...] with as many sizes as there are dimensions.</summary>
    public static void CheckImage(Tensor x, int dimensions, long channels, string name)
    {
        Span<long> expected = stackalloc long[dimensions + 2];
        expected.Fill(-1);
        expected[1] = channels;
        Guard.Shape(x, expected, name);
    }
}
