using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A residual layer over vectors: <c>h + B silu(A silu(h) + P e)</c>, where e is what all layers are told, activated. State:
/// <c>linear_1</c>, <c>time_emb_proj</c>, <c>linear_2</c>.
/// </summary>
internal sealed class MlpLayer : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Linear _first;
    private readonly Linear _projection;
    private readonly Linear _second;

    /// <summary>A layer that keeps its width.</summary>
    public MlpLayer(int width)
        : base(nameof(MlpLayer))
    {
        _first = nn.Linear(width, width);
        _projection = nn.Linear(width, width);
        _second = nn.Linear(width, width);
        register_module("linear_1", _first);
        register_module("time_emb_proj", _projection);
        register_module("linear_2", _second);
    }

    /// <summary>[B, W] from [B, W] and the activated embedding [B, W].</summary>
    public override Tensor forward(Tensor hidden, Tensor told)
    {
        using var scope = NewDisposeScope();
        var inner = _first.call(nn.functional.silu(hidden)).Add_(_projection.call(told));
        return _second.call(nn.functional.silu(inner)).Add_(hidden).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
