using TorchSharp.Interop;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class ReLU : ParameterLessModule<Tensor, Tensor>
{
    private static readonly Operator InPlace = new("relu_");

    private readonly bool _inPlace;

    internal ReLU(bool inplace)
        : base(nameof(ReLU))
        => _inPlace = inplace;

    public override Tensor forward(Tensor tensor) => _inPlace ? nn.functional.InPlace(InPlace, tensor) : tensor.relu();
}
