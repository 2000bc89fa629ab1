using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What may stand in the middle of a <see cref="UNet"/> beside <see cref="UNetBlockOptions"/>.</summary>
public static class UNetMiddle
{
    /// <summary>Nothing: the lowest level goes straight to the way up.</summary>
    public static IUNetBlockOptions None { get; } = new Nothing();

    private sealed record Nothing : IUNetBlockOptions
    {
        public UNetBlock Build(UNetPlace place) => new Empty();
    }

    private sealed class Empty() : UNetBlock(nameof(Empty))
    {
        public override Tensor Forward(Tensor x, UNetContext context) => x.alias();
    }
}
