using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class SiLU : ParameterLessModule<Tensor, Tensor>
{
    internal SiLU()
        : base(nameof(SiLU))
    {
    }

    public override Tensor forward(Tensor tensor) => tensor.silu();
}
