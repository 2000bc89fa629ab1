using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A group norm without weights of its own, scaled by one plus and shifted by what a linear layer makes of the embedding.
/// </summary>
/// <remarks>Source: Dhariwal and Nichol 2021, section 3.3. State: <c>linear</c>.</remarks>
public sealed class AdaptiveGroupNorm : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly int _channels;
    private readonly int _groups;
    private readonly double _epsilon;
    private readonly Linear _linear;

    /// <summary>A norm of given sizes.</summary>
    /// <param name="embeddingWidth">The width of the embedding.</param>
    /// <param name="channels">C.</param>
    /// <param name="groups">Divides C.</param>
    /// <param name="epsilon">Of the norm.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the groups do not divide the channels.</exception>
    public AdaptiveGroupNorm(int embeddingWidth, int channels, int groups, double epsilon = 1e-5)
        : base(nameof(AdaptiveGroupNorm))
    {
        Guard.Positive(embeddingWidth);
        (_channels, _groups, _epsilon) = (Guard.Positive(channels), Guard.Positive(groups), Guard.Positive(epsilon));
        if (channels % groups != 0)
            throw new ArgumentException($"The groups must divide the {channels} channels, got {groups}.", nameof(groups));
        register_module("linear", _linear = nn.Linear(embeddingWidth, checked(2 * channels)));
    }

    /// <summary>The normalised image, scaled and shifted.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="embedding">[B, embedding width].</param>
    /// <returns>[B, C, ...]; the caller's.</returns>
    public override Tensor forward(Tensor x, Tensor embedding)
    {
        using var scope = NewDisposeScope();
        var told = Layers.Trailing(_linear.call(embedding), (int)x.dim() - 2);
        var normed = nn.functional.group_norm(x, _groups, null, null, _epsilon);
        return normed.mul(told.narrow(1, 0, _channels).Add(1)).Add_(told.narrow(1, _channels, _channels)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
