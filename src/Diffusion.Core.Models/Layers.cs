using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Layers whose initial values this library sets itself.</summary>
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

    /// <summary>A 3x3 convolution that keeps the size.</summary>
    public static Conv2d Convolution3x3(long inputs, long outputs) => nn.Conv2d(inputs, outputs, 3L, padding: 1L);

    /// <summary>Sets the weight and bias of a convolution to zero.</summary>
    public static void SetZero(Conv2d convolution)
    {
        using var guard = no_grad();
        convolution.weight.fill_(0);
        convolution.bias!.fill_(0);
    }
}
