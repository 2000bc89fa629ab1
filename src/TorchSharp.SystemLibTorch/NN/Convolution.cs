using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

public abstract class Convolution : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = nameof(bias))]
    private Parameter? _bias;

    [ComponentName(Name = nameof(weight))]
    private Parameter? _weight;

    private protected Convolution(
        string name, long in_channels, long out_channels, long[] kernel_size, long groups, bool bias, Device? device, ScalarType? dtype)
        : base(name)
    {
        weight = new Parameter(empty([out_channels, in_channels / groups, .. kernel_size], dtype, device));
        nn.init.kaiming_uniform_(weight, Math.Sqrt(5));
        if (!bias)
            return;
        this.bias = new Parameter(empty([out_channels], dtype, device));
        var bound = 1 / Math.Sqrt(nn.init.Fans(weight).In);
        nn.init.uniform_(this.bias, -bound, bound);
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

    protected override void Dispose(bool disposing)
    {
        _weight?.Dispose();
        _bias?.Dispose();
        base.Dispose(disposing);
    }
}
