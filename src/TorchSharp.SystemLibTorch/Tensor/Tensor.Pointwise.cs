using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator Abs = new("abs");
        private static readonly Operator Exp = new("exp");
        private static readonly Operator Log = new("log");
        private static readonly Operator Sqrt = new("sqrt");
        private static readonly Operator RSqrt = new("rsqrt");
        private static readonly Operator Square = new("square");
        private static readonly Operator Sin = new("sin");
        private static readonly Operator Cos = new("cos");
        private static readonly Operator Acos = new("acos");
        private static readonly Operator Tanh = new("tanh");
        private static readonly Operator ReciprocalOf = new("reciprocal");
        private static readonly Operator Floor = new("floor");
        private static readonly Operator Sigmoid = new("sigmoid");
        private static readonly Operator Relu = new("relu");
        private static readonly Operator Gelu = new("gelu");
        private static readonly Operator Silu = new("silu");
        private static readonly Operator IsFinite = new("isfinite");
        private static readonly Operator IsNaN = new("isnan");
        private static readonly Operator LogicalNot = new("logical_not");
        private static readonly Operator SqrtInPlace = new("sqrt_");
        private static readonly Operator FloorInPlace = new("floor_");
        private static readonly Operator SignInPlace = new("sign_");
        private static readonly Operator ReciprocalInPlace = new("reciprocal_");
        private static readonly Operator ZeroInPlace = new("zero_");
        private static readonly Operator Round = new("round.decimals");
        private static readonly Operator Clamp = new("clamp");
        private static readonly Operator ClampInPlace = new("clamp_");
        private static readonly Operator ClampMin = new("clamp_min");
        private static readonly Operator ClampMaxInPlace = new("clamp_max_");
        private static readonly Operator Minimum = new("minimum");
        private static readonly Operator Maximum = new("maximum");
        private static readonly Operator PowScalar = new("pow.Tensor_Scalar");
        private static readonly Operator Pow = new("pow.Tensor_Tensor");
        private static readonly Operator FillInPlace = new("fill_.Scalar");
        private static readonly Operator MaskedFill = new("masked_fill.Scalar");
        private static readonly Operator MaskedFillInPlace = new("masked_fill_.Scalar");
        private static readonly Operator Softmax = new("softmax.int");

        public Tensor abs() => Abs.Call(this);

        public Tensor exp() => Exp.Call(this);

        public Tensor log() => Log.Call(this);

        public Tensor sqrt() => Sqrt.Call(this);

        public Tensor rsqrt() => RSqrt.Call(this);

        public Tensor square() => Square.Call(this);

        public Tensor sin() => Sin.Call(this);

        public Tensor cos() => Cos.Call(this);

        public Tensor acos() => Acos.Call(this);

        public Tensor tanh() => Tanh.Call(this);

        public Tensor reciprocal() => ReciprocalOf.Call(this);

        public Tensor floor() => Floor.Call(this);

        public Tensor sigmoid() => Sigmoid.Call(this);

        public Tensor relu() => Relu.Call(this);

        public Tensor gelu() => Gelu.Call(this);

        public Tensor gelu(Modules.GELU.Approximate approximate) => Gelu.Call(this, NameOf(approximate));

        internal static Value NameOf(Modules.GELU.Approximate approximate)
            => approximate == Modules.GELU.Approximate.tanh ? Value.Text("tanh"u8) : Value.Text("none"u8);

        /// <summary>x / (1 + e^-x), by a kernel of our own for what is usual on the CPU.</summary>
        public unsafe Tensor silu()
        {
            nint result;
            Native.Check(Native.sl_silu(Handle, &result));
            GC.KeepAlive(this);
            return result == 0 ? Silu.Call(this) : new Tensor(result);
        }

        public Tensor isfinite() => IsFinite.Call(this);

        public Tensor isnan() => IsNaN.Call(this);

        public Tensor logical_not() => LogicalNot.Call(this);

        public Tensor floor_() => InPlace(FloorInPlace);

        public Tensor sqrt_() => InPlace(SqrtInPlace);

        public Tensor sign_() => InPlace(SignInPlace);

        public Tensor reciprocal_() => InPlace(ReciprocalInPlace);

        /// <summary>Zeroes this tensor; what it returns is a new object of the same memory, unlike all others in place.</summary>
        public Tensor zero_() => InPlace(ZeroInPlace).alias();

        public Tensor round(long decimals = 0L) => Round.Call(this, decimals);

        public Tensor clamp(Scalar? min = null, Scalar? max = null) => Clamp.Call(this, min, max);

        public Tensor clamp_(Scalar? min = null, Scalar? max = null) => InPlace(ClampInPlace, min, max);

        public Tensor clamp_min(Scalar min) => ClampMin.Call(this, min);

        public Tensor clamp_max_(Scalar max) => InPlace(ClampMaxInPlace, max);

        public Tensor minimum(Tensor other) => Minimum.Call(this, other);

        public Tensor maximum(Tensor other) => Maximum.Call(this, other);

        public Tensor pow(Scalar exponent) => PowScalar.Call(this, exponent);

        public Tensor pow(Tensor exponent) => Pow.Call(this, exponent);

        public Tensor fill_(Scalar value) => InPlace(FillInPlace, value);

        public Tensor masked_fill(Tensor mask, Scalar value) => MaskedFill.Call(this, mask, value);

        public Tensor masked_fill_(Tensor mask, Scalar value) => InPlace(MaskedFillInPlace, mask, value);

        public Tensor softmax(long dim, ScalarType? dtype = null) => Softmax.Call(this, dim, dtype);
    }
}
