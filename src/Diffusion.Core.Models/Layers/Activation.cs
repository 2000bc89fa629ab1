using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The activation function between two layers. The standard ones are in <see cref="Activation"/>.</summary>
public interface IActivation
{
    /// <summary>The number of inputs for each output: 1, or 2 if one half gates the other.</summary>
    int InputsPerOutput => 1;

    /// <summary>Applies the activation to a tensor.</summary>
    /// <param name="x">[..., D * <see cref="InputsPerOutput"/>]. It is not modified.</param>
    /// <returns>A new tensor, [..., D]. The caller must dispose it.</returns>
    Tensor Apply(Tensor x);
}

/// <summary>The standard activations.</summary>
public static class Activation
{
    /// <summary>max(x, 0).</summary>
    public static IActivation Relu { get; } = new Pointwise(x => x.relu());

    /// <summary>x sigmoid(x) (Elfwing et al. 2017), also called swish.</summary>
    public static IActivation Silu { get; } = new Pointwise(x => nn.functional.silu(x));

    /// <summary>x Phi(x) (Hendrycks and Gimpel 2016, section 2).</summary>
    public static IActivation Gelu { get; } = new Pointwise(nn.functional.gelu);

    /// <summary>The approximation of <see cref="Gelu"/> by a hyperbolic tangent (Hendrycks and Gimpel 2016, section 2).</summary>
    public static IActivation GeluTanh { get; } = new Pointwise(x => nn.functional.gelu(x, GELU.Approximate.tanh));

    /// <summary>The approximation of <see cref="Gelu"/> by x sigmoid(1.702 x) (Hendrycks and Gimpel 2016, section 2), as in CLIP.</summary>
    public static IActivation GeluSigmoid { get; } = new Pointwise(x =>
    {
        using var scaled = x.Mul(1.702);
        using var gate = scaled.sigmoid();
        return gate.mul(x);
    });

    /// <summary>The first half times the GELU of the second (Shazeer 2020, eq. 6).</summary>
    public static IActivation GeGlu { get; } = new Gated(nn.functional.gelu);

    /// <summary>The first half times the SiLU of the second (Shazeer 2020, eq. 6).</summary>
    public static IActivation SwiGlu { get; } = new Gated(x => nn.functional.silu(x));

    /// <summary>Creates an activation from a function of one tensor.</summary>
    /// <param name="function">Maps a tensor to a new tensor of the same shape.</param>
    public static IActivation Of(Func<Tensor, Tensor> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return new Pointwise(function);
    }

    private sealed class Pointwise(Func<Tensor, Tensor> function) : IActivation
    {
        public Tensor Apply(Tensor x) => function(x);
    }

    private sealed class Gated(Func<Tensor, Tensor> gate) : IActivation
    {
        public int InputsPerOutput => 2;

        public Tensor Apply(Tensor x)
        {
            var half = x.shape[^1] / 2;
            using var value = x.narrow(-1, 0, half);
            using var gated = x.narrow(-1, half, half);
            using var opened = gate(gated);
            return value.mul(opened);
        }
    }
}
