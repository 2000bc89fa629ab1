using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

/// <summary>Group normalisation. As in TorchSharp, weight and bias are uninitialised memory until the caller sets them.</summary>
public sealed class GroupNorm : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = nameof(bias))]
    private Parameter? _bias;

    [ComponentName(Name = nameof(weight))]
    private Parameter? _weight;

    private readonly long _groups;
    private readonly double _epsilon;

    internal GroupNorm(long num_groups, long num_channels, double eps, bool affine, Device? device, ScalarType? dtype)
        : base(nameof(GroupNorm))
    {
        (_groups, _epsilon) = (num_groups, eps);
        if (!affine)
            return;
        weight = new Parameter(empty([num_channels], dtype, device));
        bias = new Parameter(empty([num_channels], dtype, device));
    }

    public Parameter weight
    {
        get => _weight!;
        set
        {
            if (!ReferenceEquals(value, _weight))
                ReplaceComponent(nameof(weight), ref _weight, value);
        }
    }

    public Parameter? bias
    {
        get => _bias;
        set => ReplaceComponent(nameof(bias), ref _bias, value);
    }

    public override Tensor forward(Tensor tensor)
        => tensor.Dimensions >= 3
            ? nn.functional.group_norm(tensor, _groups, weight, bias, _epsilon)
            : throw new ArgumentException($"Invalid number of dimensions for GroupNorm argument: {tensor.Dimensions}");

    protected override void Dispose(bool disposing)
    {
        _weight?.Dispose();
        _bias?.Dispose();
        base.Dispose(disposing);
    }
}
