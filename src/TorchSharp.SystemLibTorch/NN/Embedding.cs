using TorchSharp.Interop;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Embedding : nn.Module<Tensor, Tensor>
{
    private static readonly Operator Lookup = new("embedding");

    private readonly long _padding;

    internal Embedding(long count, long size, long? padding, Device? device, ScalarType? dtype)
        : base(nameof(Embedding))
    {
        // Of the count rows, a negative place is counted from the end.
        _padding = padding is { } place ? (place < 0 ? place + count : place) : -1;
        var values = empty([count, size]).normal_();
        if (_padding >= 0)
        {
            using var row = values.select(0, _padding);
            row.fill_(0);
        }

        register_parameter("weight", new Parameter(values.to(dtype ?? values.dtype, device ?? CPU, disposeAfter: true)));
    }

    private Parameter Weight => get_parameter("weight")!;

    public override Tensor forward(Tensor input) => Lookup.Call(Weight, input, _padding);
}
