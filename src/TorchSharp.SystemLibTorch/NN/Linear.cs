using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Linear : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = nameof(bias))]
    private Parameter? _bias;

    [ComponentName(Name = nameof(weight))]
    private Parameter? _weight;

    internal Linear(long inputSize, long outputSize, bool hasBias, Device? device, ScalarType? dtype)
        : base(nameof(Linear))
    {
        weight = new Parameter(empty([outputSize, inputSize], dtype, device));
        nn.init.kaiming_uniform_(weight, Math.Sqrt(5));
        if (!hasBias)
            return;
        bias = new Parameter(empty([outputSize], dtype, device));
        var bound = inputSize > 0 ? 1 / Math.Sqrt(inputSize) : 0;
        nn.init.uniform_(bias, -bound, bound);
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

    public override Tensor forward(Tensor tensor) => nn.functional.linear(tensor, weight, bias);

    protected override void Dispose(bool disposing)
    {
        _weight?.Dispose();
        _bias?.Dispose();
        base.Dispose(disposing);
    }
}
