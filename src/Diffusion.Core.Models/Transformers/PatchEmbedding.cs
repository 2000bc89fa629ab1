using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Maps each square patch of an image to a token by a linear layer, and joins tokens to images.</summary>
/// <remarks>Source: Dosovitskiy et al. 2021, eq. 1. State: <c>proj</c>.</remarks>
internal sealed class PatchEmbedding : NamedModule<Tensor, Tensor>
{
    private readonly Conv2d _projection;

    /// <summary>Creates an embedding of given sizes.</summary>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="patchSize">p, the side of a patch in pixels.</param>
    /// <param name="width">D, the width of a token.</param>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    public PatchEmbedding(int channels, int patchSize, int width)
        : base(nameof(PatchEmbedding))
    {
        Channels = Guard.Positive(channels);
        PatchSize = Guard.Positive(patchSize);
        _projection = Layers.Conv2d(channels, Guard.Positive(width), (long)patchSize, stride: (long)patchSize);
        register_module("proj", _projection);
    }

    /// <summary>C, the number of channels.</summary>
    public int Channels { get; }

    /// <summary>p, the side of a patch in pixels.</summary>
    public int PatchSize { get; }

    /// <summary>The weight, [D, C, p, p].</summary>
    internal Tensor Weight => _projection.weight;

    /// <summary>Maps images to tokens, in row-major order of the patches.</summary>
    /// <param name="input">[B, C, H, W] images; H and W must be multiples of p.</param>
    /// <returns>[B, H/p * W/p, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public override Tensor forward(Tensor input)
    {
        Check(input);
        using var scope = NewDisposeScope();
        return _projection.call(input).flatten(2).transpose(1, 2).MoveToOuterDisposeScope();
    }

    /// <summary>Joins tokens to images.</summary>
    /// <param name="tokens">[B, rows * columns, p * p * C]: each token contains the pixels of its patch, with the channels last.</param>
    /// <param name="rows">The number of rows of patches.</param>
    /// <param name="columns">The number of columns of patches.</param>
    /// <param name="patchSize">p, the side of a patch in pixels.</param>
    /// <returns>[B, C, rows * p, columns * p]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public static Tensor Join(Tensor tokens, long rows, long columns, int patchSize)
    {
        Guard.Shape(tokens, [-1, rows * columns, -1]);
        long p = Guard.Positive(patchSize);
        var (batch, width) = (tokens.shape[0], tokens.shape[2]);
        if (width % (p * p) != 0)
            throw new ArgumentException(
                Invariant($"tokens must have {p * p} pixels each, got shape {Guard.Format(tokens.shape)}."), nameof(tokens));
        using var scope = NewDisposeScope();
        return tokens.reshape(batch, rows, columns, p, p, width / (p * p))
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(batch, width / (p * p), rows * p, columns * p)
            .MoveToOuterDisposeScope();
    }

    /// <summary>Throws if the height or the width of the images is not a multiple of the patch size.</summary>
    internal void Check(Tensor input, string name = "input")
    {
        Guard.Shape(input, [-1, Channels, -1, -1], name);
        var shape = input.shape;
        if (shape[2] < 1 || shape[3] < 1 || shape[2] % PatchSize != 0 || shape[3] % PatchSize != 0)
            throw new ArgumentException(
                Invariant($"The sides of {name} must be multiples of the patch size {PatchSize}, got shape {Guard.Format(shape)}."), name);
    }
}
