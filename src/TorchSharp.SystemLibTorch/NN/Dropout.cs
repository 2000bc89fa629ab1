using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Dropout : ParameterLessModule<Tensor, Tensor>
{
    private readonly double _probability;
    private readonly bool _inPlace;

    internal Dropout(double p, bool inplace)
        : base(nameof(Dropout))
        => (_probability, _inPlace) = (p, inplace);

    public override Tensor forward(Tensor tensor) => nn.functional.dropout(tensor, _probability, training, _inPlace);
}
