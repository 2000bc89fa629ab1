using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Testing;

/// <summary>Answers each draw from a function of its number, counted from 0.</summary>
public sealed class ReplayNoise(Func<int, Tensor, Tensor> draw) : INoiseSource
{
    public int Draws { get; private set; }

    public bool IsDisposed { get; private set; }

    public Tensor Draw(Tensor like) => draw(Draws++, like);

    public void Dispose() => IsDisposed = true;
}
