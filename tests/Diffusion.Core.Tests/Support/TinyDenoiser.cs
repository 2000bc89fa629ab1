using Diffusion.Core.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>A network of a few hundred weights for points in the plane, with a part that it never uses and a buffer.</summary>
public sealed class TinyDenoiser : nn.Module<Tensor, Tensor, Tensor>, ITrainableDenoiser
{
    private readonly Linear _first;
    private readonly Linear _second;
    private readonly Linear _unused;
    private readonly SeededDropout _dropout;

    public TinyDenoiser(long seed = 1, long width = 16, ScalarType dtype = ScalarType.Float32, double dropout = 0.0)
        : base(nameof(TinyDenoiser))
    {
        _first = nn.Linear(3, width);
        _second = nn.Linear(width, 2);
        _unused = nn.Linear(5, 1);
        _dropout = new SeededDropout(dropout);
        RegisterComponents();
        register_buffer("scale", tensor(new[] { 1e-3f }));
        Randomise(seed);
        this.to(dtype);
    }

    public nn.Module Module => this;

    /// <summary>Run with each prediction, before it.</summary>
    public Action? Before { get; set; }

    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => call(xt, t);

    public override Tensor forward(Tensor xt, Tensor t)
    {
        Before?.Invoke();
        using var scope = NewDisposeScope();
        var time = t.to(xt.dtype).mul(get_buffer("scale")!.to(xt.dtype)).unsqueeze(1);
        var hidden = nn.functional.silu(_first.call(cat([xt, time], 1)));
        return _second.call(_dropout.call(hidden)).MoveToOuterDisposeScope();
    }

    private void Randomise(long seed)
    {
        using var generator = new Generator((ulong)seed);
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        foreach (var (_, parameter) in named_parameters())
            parameter.copy_(randn(parameter.shape, generator: generator).mul_(0.3));
    }
}
