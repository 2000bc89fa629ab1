using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The norm of each sample within groups of its channels; see <see cref="Normalization"/>.</summary>
/// <remarks>Source: Wu and He 2018. Input: [B, C, ...].</remarks>
public sealed class GroupNormalization : Normalization
{
    private readonly long _groups;
    private readonly double _epsilon;

    /// <summary>A norm of given sizes.</summary>
    /// <param name="groups">Divides the channels.</param>
    /// <param name="channels">C.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the groups do not divide the channels.</exception>
    public GroupNormalization(int groups, int channels, double epsilon = 1e-5)
        : base(nameof(GroupNormalization), Guard.Positive(channels), true)
    {
        (_groups, _epsilon) = (Guard.Positive(groups), Guard.Positive(epsilon));
        if (channels % groups != 0)
            throw new ArgumentException($"The groups must divide the {channels} channels, got {groups}.", nameof(groups));
    }

    /// <summary>What follows the norm: SiLU in the same pass where there is a kernel for both. Null for nothing.</summary>
    internal IActivation? Activation { get; init; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var (weight, isSilu) = (get_parameter("weight")!, ReferenceEquals(Activation, Models.Activation.Silu));
        if ((Activation is null || isSilu) && HostGroupNorm.Takes(input, weight))
            return HostGroupNorm.Run(input, _groups, weight, get_parameter("bias")!, _epsilon, isSilu);
        var normed = base.forward(input);
        if (Activation is null)
            return normed;
        using (normed)
            return Activation.Apply(normed);
    }

    private protected override Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias)
        => nn.functional.group_norm(input, _groups, weight, bias, _epsilon);
}
