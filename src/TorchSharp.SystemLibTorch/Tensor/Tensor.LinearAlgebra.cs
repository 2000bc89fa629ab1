using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator MatMul = new("matmul");
        private static readonly Operator MM = new("mm");
        private static readonly Operator BMM = new("bmm");

        public Tensor matmul(Tensor target) => MatMul.Call(this, target);

        public Tensor mm(Tensor target) => MM.Call(this, target);

        public Tensor bmm(Tensor batch2) => BMM.Call(this, batch2);
    }
}
