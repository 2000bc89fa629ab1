using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An activation function. The standard functions are static members.</summary>
public abstract class Activation
{
    /// <summary>The number of inputs for each output: 1, or 2 if one half of the inputs gates the other.</summary>
    public virtual int InputsPerOutput => 1;

    /// <summary>Applies the activation to a tensor.</summary>
    /// <param name="x">[..., D * <see cref="InputsPerOutput"/>]. It is not modified.</param>
    /// <returns>[..., D], a new tensor. The caller must dispose the returned tensor.</returns>
    public abstract Tensor Apply(Tensor x);

    /// <summary>ReLU: max(x, 0).</summary>
    public static Activation Relu { get; } = new Pointwise(x => x.relu());

    /// <summary>SiLU, also called swish: x sigmoid(x) (Elfwing et al. 2017).</summary>
    public static Activation Silu { get; } = new Pointwise(x => nn.functional.silu(x));

    /// <summary>GELU: x Phi(x), with the distribution function Phi of N(0, 1) (Hendrycks and Gimpel 2016, section 2).</summary>
    public static Activation Gelu { get; } = new Pointwise(nn.functional.gelu);

    /// <summary>The approximation of <see cref="Gelu"/> by a hyperbolic tangent (Hendrycks and Gimpel 2016, section 2).</summary>
    public static Activation GeluTanh { get; } = new Pointwise(x => nn.functional.gelu(x, GELU.Approximate.tanh));

    /// <summary>
    /// The approximation of <see cref="Gelu"/> by x sigmoid(1.702 x) (Hendrycks and Gimpel 2016, section 2), as used in CLIP.
    /// </summary>
    public static Activation GeluSigmoid { get; } = new Pointwise(x =>
    {
        using var scaled = x.Mul(1.702);
        using var gate = scaled.sigmoid();
        return gate.mul(x);
    });

    /// <summary>GEGLU: the first half of the input times the GELU of the second half (Shazeer 2020, eq. 6).</summary>
    public static Activation GeGlu { get; } = new Gated(nn.functional.gelu);

    /// <summary>SwiGLU: the first half of the input times the SiLU of the second half (Shazeer 2020, eq. 6).</summary>
    public static Activation SwiGlu { get; } = new Gated(x => nn.functional.silu(x));

    /// <summary>Creates an activation from a function of one tensor.</summary>
    /// <param name="function">Maps [...] to a new tensor of the same shape.</param>
    public static Activation Of(Func<Tensor, Tensor> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return new Pointwise(function);
    }

    private sealed class Pointwise(Func<Tensor, Tensor> function) : Activation
    {
        public override Tensor Apply(Tensor x) => function(x);
    }

    private sealed class Gated(Func<Tensor, Tensor> gate) : Activation
    {
        public override int InputsPerOutput => 2;

        public override Tensor Apply(Tensor x)
        {
            var half = x.shape[^1] / 2;
            using var value = x.narrow(-1, 0, half);
            using var gated = x.narrow(-1, half, half);
            using var opened = gate(gated);
            return value.mul(opened);
        }
    }
}
