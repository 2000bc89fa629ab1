using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A linear layer and its activation. State: <c>proj</c>.</summary>
internal sealed class ActivatedLinear : nn.Module<Tensor, Tensor>
{
    private readonly IActivation _activation;
    private readonly Linear _projection;

    /// <summary>A layer of given sizes; a gated activation takes more than it gives.</summary>
    public ActivatedLinear(int inputs, int outputs, IActivation activation)
        : base(nameof(ActivatedLinear))
    {
        _activation = activation;
        _projection = nn.Linear(inputs, checked(outputs * activation.InputsPerOutput));
        register_module("proj", _projection);
    }

    /// <summary>[..., inputs] to [..., outputs]; the caller's.</summary>
    public override Tensor forward(Tensor input)
    {
        using var projected = _projection.call(input);
        return _activation.Apply(projected);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
