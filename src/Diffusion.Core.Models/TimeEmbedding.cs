using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The two-layer network behind a sinusoidal embedding: linear, SiLU, linear.</summary>
/// <remarks>Source: Ho et al. 2020, appendix B. State: <c>linear_1</c>, <c>linear_2</c>.</remarks>
public sealed class TimeEmbedding : nn.Module<Tensor, Tensor>
{
    private readonly Linear _first;
    private readonly Linear _second;

    /// <summary>A network of given widths.</summary>
    /// <param name="inputs">The width of the sinusoidal embedding.</param>
    /// <param name="outputs">The width that the rest of the network is told.</param>
    public TimeEmbedding(int inputs, int outputs)
        : base(nameof(TimeEmbedding))
    {
        Guard.Positive(inputs);
        Guard.Positive(outputs);
        _first = nn.Linear(inputs, outputs);
        _second = nn.Linear(outputs, outputs);
        register_module("linear_1", _first);
        register_module("linear_2", _second);
    }

    /// <summary>The embedding that residual blocks take.</summary>
    /// <param name="input">[B, inputs].</param>
    /// <returns>[B, outputs]; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        using var hidden = _first.call(input);
        using var activated = nn.functional.silu(hidden);
        return _second.call(activated);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
