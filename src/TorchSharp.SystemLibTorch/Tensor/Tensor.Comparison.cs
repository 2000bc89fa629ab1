using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator Eq = new("eq.Tensor");
        private static readonly Operator EqScalar = new("eq.Scalar");
        private static readonly Operator Ne = new("ne.Tensor");
        private static readonly Operator NeScalar = new("ne.Scalar");
        private static readonly Operator Lt = new("lt.Tensor");
        private static readonly Operator LtScalar = new("lt.Scalar");
        private static readonly Operator Le = new("le.Tensor");
        private static readonly Operator LeScalar = new("le.Scalar");
        private static readonly Operator Gt = new("gt.Tensor");
        private static readonly Operator GtScalar = new("gt.Scalar");
        private static readonly Operator Ge = new("ge.Tensor");
        private static readonly Operator GeScalar = new("ge.Scalar");
        private static readonly Operator LogicalAnd = new("logical_and");
        private static readonly Operator IsEqual = new("equal");

        public Tensor eq(Tensor target) => Eq.Call(this, target);

        public Tensor eq(Scalar target) => EqScalar.Call(this, target);

        public Tensor ne(Tensor target) => Ne.Call(this, target);

        public Tensor ne(Scalar target) => NeScalar.Call(this, target);

        public Tensor lt(Tensor target) => Lt.Call(this, target);

        public Tensor lt(Scalar target) => LtScalar.Call(this, target);

        public Tensor le(Tensor target) => Le.Call(this, target);

        public Tensor le(Scalar target) => LeScalar.Call(this, target);

        public Tensor gt(Tensor target) => Gt.Call(this, target);

        public Tensor gt(Scalar target) => GtScalar.Call(this, target);

        public Tensor ge(Tensor target) => Ge.Call(this, target);

        public Tensor ge(Scalar target) => GeScalar.Call(this, target);

        public Tensor logical_and(Tensor other) => LogicalAnd.Call(this, other);

        public bool Equals(Tensor target) => IsEqual.CallScalar(this, target).Payload != 0;

        public override bool Equals(object? obj) => obj is Tensor tensor && Equals(tensor);

        public override int GetHashCode() => base.GetHashCode();
    }
}
