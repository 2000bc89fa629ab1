using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom network, of three inputs.</summary>
internal sealed class PairNetwork : nn.Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly Conv2d _first = nn.Conv2d(3, 4, 3, padding: 1);
    private readonly Conv2d _second = nn.Conv2d(4, 1, 3, padding: 1);

    public PairNetwork(long seed)
        : base(nameof(PairNetwork))
    {
        RegisterComponents();
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var (_, parameter) in named_parameters())
            parameter.copy_(randn(parameter.shape, generator: generator).mul_(0.2));
    }

    public override Tensor forward(Tensor x, Tensor degraded, Tensor strength)
    {
        using var scope = NewDisposeScope();
        var plane = ones_like(x).mul(strength.reshape(-1, 1, 1, 1));
        return _second.call(nn.functional.silu(_first.call(cat([x, degraded, plane], 1)))).MoveToOuterDisposeScope();
    }
}
