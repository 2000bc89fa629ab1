using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator MatMul = new("matmul");
        private static readonly Operator MM = new("mm");
        private static readonly Operator BMM = new("bmm");
        private static readonly Operator BAddBMM = new("baddbmm");
        private static readonly Operator AddMM = new("addmm");
        private static readonly Operator Dot = new("dot");
        private static readonly Operator Outer = new("outer");
        private static readonly Operator MV = new("mv");

        public Tensor matmul(Tensor target) => MatMul.Call(this, target);

        public Tensor mm(Tensor target) => MM.Call(this, target);

        public Tensor bmm(Tensor batch2) => BMM.Call(this, batch2);

        public Tensor mv(Tensor target) => MV.Call(this, target);

        public Tensor dot(Tensor target) => Dot.Call(this, target);

        public Tensor outer(Tensor vec2) => Outer.Call(this, vec2);

        public Tensor addmm(Tensor mat1, Tensor mat2, float beta = 1f, float alpha = 1f)
            => AddMM.Call(this, mat1, mat2, (double)beta, (double)alpha);

        public Tensor baddbmm(Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f)
            => BAddBMM.Call(this, batch1, batch2, (double)beta, (double)alpha);
    }
}
