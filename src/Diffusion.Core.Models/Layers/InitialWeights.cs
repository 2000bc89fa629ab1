using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Initializes the weights of transformers. Norms are not changed: their scale is one and their shift is zero.</summary>
internal static class InitialWeights
{
    /// <summary>
    /// Initializes every linear layer and patch convolution of a module as in Glorot and Bengio 2010, eq. 16. Biases are set to zero.
    /// </summary>
    public static void Xavier(nn.Module module) => Each(module, weight => nn.init.xavier_uniform_(weight));

    /// <summary>
    /// Initializes every linear layer and patch convolution of a module from N(0, deviation^2). Biases are set to zero.
    /// </summary>
    /// <remarks>
    /// The papers on vision transformers specify a truncated normal distribution. Their code truncates it at -2 and 2. This has no
    /// effect, because it is a hundred standard deviations from the mean.
    /// </remarks>
    public static void Normal(nn.Module module, double deviation = 0.02)
        => Each(module, weight => nn.init.normal_(weight, 0, deviation));

    /// <summary>Sets the weight and bias of a linear layer to zero.</summary>
    public static void Zero(Linear linear)
    {
        nn.init.zeros_(linear.weight);
        nn.init.zeros_(linear.bias!);
    }

    private static void Each(nn.Module module, Action<Tensor> fill)
    {
        using var guard = no_grad();
        foreach (var part in module.modules().Prepend(module))
        {
            var (weight, bias) = part switch
            {
                Linear linear => (linear.weight, linear.bias),
                Conv2d convolution => (convolution.weight, convolution.bias),
                _ => (null, null),
            };
            if (weight is null)
                continue;
            using var matrix = weight.flatten(1);
            fill(matrix);
            if (bias is not null)
                nn.init.zeros_(bias);
        }
    }
}
