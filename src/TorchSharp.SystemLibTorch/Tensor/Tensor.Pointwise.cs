using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator Abs = new("abs");
        private static readonly Operator Exp = new("exp");
        private static readonly Operator ExpM1 = new("expm1");
        private static readonly Operator Log = new("log");
        private static readonly Operator Log1P = new("log1p");
        private static readonly Operator Log2 = new("log2");
        private static readonly Operator Sqrt = new("sqrt");
        private static readonly Operator RSqrt = new("rsqrt");
        private static readonly Operator Square = new("square");
        private static readonly Operator Sin = new("sin");
        private static readonly Operator Cos = new("cos");
        private static readonly Operator Tan = new("tan");
        private static readonly Operator Tanh = new("tanh");
        private static readonly Operator Erf = new("erf");
        private static readonly Operator ATan = new("atan");
        private static readonly Operator ReciprocalOf = new("reciprocal");
        private static readonly Operator Sign = new("sign");
        private static readonly Operator Floor = new("floor");
        private static readonly Operator Ceil = new("ceil");
        private static readonly Operator Trunc = new("trunc");
        private static readonly Operator Sigmoid = new("sigmoid");
        private static readonly Operator Relu = new("relu");
        private static readonly Operator Silu = new("silu");
        private static readonly Operator IsFinite = new("isfinite");
        private static readonly Operator IsNaN = new("isnan");
        private static readonly Operator IsInf = new("isinf");
        private static readonly Operator LogicalNot = new("logical_not");
        private static readonly Operator SqrtInPlace = new("sqrt_");
        private static readonly Operator NegInPlace = new("neg_");
        private static readonly Operator ExpInPlace = new("exp_");
        private static readonly Operator AbsInPlace = new("abs_");
        private static readonly Operator SinInPlace = new("sin_");
        private static readonly Operator CosInPlace = new("cos_");
        private static readonly Operator LogInPlace = new("log_");
        private static readonly Operator RSqrtInPlace = new("rsqrt_");
        private static readonly Operator ReciprocalInPlace = new("reciprocal_");
        private static readonly Operator SiluInPlace = new("silu_");
        private static readonly Operator SigmoidInPlace = new("sigmoid_");
        private static readonly Operator ReluInPlace = new("relu_");
        private static readonly Operator ZeroInPlace = new("zero_");
        private static readonly Operator FloorInPlace = new("floor_");
        private static readonly Operator TanhInPlace = new("tanh_");
        private static readonly Operator Round = new("round.decimals");
        private static readonly Operator Clamp = new("clamp");
        private static readonly Operator ClampTensor = new("clamp.Tensor");
        private static readonly Operator ClampInPlace = new("clamp_");
        private static readonly Operator ClampMin = new("clamp_min");
        private static readonly Operator ClampMax = new("clamp_max");
        private static readonly Operator ClampMinInPlace = new("clamp_min_");
        private static readonly Operator ClampMaxInPlace = new("clamp_max_");
        private static readonly Operator Minimum = new("minimum");
        private static readonly Operator Maximum = new("maximum");
        private static readonly Operator PowScalar = new("pow.Tensor_Scalar");
        private static readonly Operator Pow = new("pow.Tensor_Tensor");
        private static readonly Operator PowScalarInPlace = new("pow_.Scalar");
        private static readonly Operator FillInPlace = new("fill_.Scalar");
        private static readonly Operator MaskedFill = new("masked_fill.Scalar");
        private static readonly Operator MaskedFillInPlace = new("masked_fill_.Scalar");
        private static readonly Operator Softmax = new("softmax.int");
        private static readonly Operator LogSoftmax = new("log_softmax.int");
        private static readonly Operator Where = new("where.self");
        private static readonly Operator NanToNum = new("nan_to_num");

        public Tensor abs() => Abs.Call(this);

        public Tensor exp() => Exp.Call(this);

        public Tensor expm1() => ExpM1.Call(this);

        public Tensor log() => Log.Call(this);

        public Tensor log1p() => Log1P.Call(this);

        public Tensor log2() => Log2.Call(this);

        public Tensor sqrt() => Sqrt.Call(this);

        public Tensor rsqrt() => RSqrt.Call(this);

        public Tensor square() => Square.Call(this);

        public Tensor sin() => Sin.Call(this);

        public Tensor cos() => Cos.Call(this);

        public Tensor tan() => Tan.Call(this);

        public Tensor tanh() => Tanh.Call(this);

        public Tensor erf() => Erf.Call(this);

        public Tensor atan() => ATan.Call(this);

        public Tensor reciprocal() => ReciprocalOf.Call(this);

        public Tensor sign() => Sign.Call(this);

        public Tensor floor() => Floor.Call(this);

        public Tensor ceil() => Ceil.Call(this);

        public Tensor trunc() => Trunc.Call(this);

        public Tensor sigmoid() => Sigmoid.Call(this);

        public Tensor relu() => Relu.Call(this);

        public Tensor silu() => Silu.Call(this);

        public Tensor isfinite() => IsFinite.Call(this);

        public Tensor isnan() => IsNaN.Call(this);

        public Tensor isinf() => IsInf.Call(this);

        public Tensor logical_not() => LogicalNot.Call(this);

        public Tensor sqrt_() => InPlace(SqrtInPlace);

        public Tensor neg_() => InPlace(NegInPlace);

        public Tensor exp_() => InPlace(ExpInPlace);

        public Tensor abs_() => InPlace(AbsInPlace);

        public Tensor sin_() => InPlace(SinInPlace);

        public Tensor cos_() => InPlace(CosInPlace);

        public Tensor log_() => InPlace(LogInPlace);

        public Tensor rsqrt_() => InPlace(RSqrtInPlace);

        public Tensor reciprocal_() => InPlace(ReciprocalInPlace);

        public Tensor silu_() => InPlace(SiluInPlace);

        public Tensor sigmoid_() => InPlace(SigmoidInPlace);

        public Tensor relu_() => InPlace(ReluInPlace);

        /// <summary>Zeroes this tensor; what it returns is a new object of the same memory, unlike all others in place.</summary>
        public Tensor zero_() => InPlace(ZeroInPlace).alias();

        public Tensor floor_() => InPlace(FloorInPlace);

        public Tensor tanh_() => InPlace(TanhInPlace);

        public Tensor round(long decimals = 0L) => Round.Call(this, decimals);

        public Tensor clamp(Scalar? min = null, Scalar? max = null) => Clamp.Call(this, min, max);

        public Tensor clamp(Tensor? min = null, Tensor? max = null) => ClampTensor.Call(this, min, max);

        public Tensor clamp_(Scalar? min = null, Scalar? max = null) => InPlace(ClampInPlace, min, max);

        public Tensor clamp_min(Scalar min) => ClampMin.Call(this, min);

        public Tensor clamp_max(Scalar max) => ClampMax.Call(this, max);

        public Tensor clamp_min_(Scalar min) => InPlace(ClampMinInPlace, min);

        public Tensor clamp_max_(Scalar max) => InPlace(ClampMaxInPlace, max);

        public Tensor minimum(Tensor other) => Minimum.Call(this, other);

        public Tensor maximum(Tensor other) => Maximum.Call(this, other);

        public Tensor pow(Scalar exponent) => PowScalar.Call(this, exponent);

        public Tensor pow(Tensor exponent) => Pow.Call(this, exponent);

        public Tensor pow_(Scalar exponent) => InPlace(PowScalarInPlace, exponent);

        public Tensor fill_(Scalar value) => InPlace(FillInPlace, value);

        public Tensor masked_fill(Tensor mask, Scalar value) => MaskedFill.Call(this, mask, value);

        public Tensor masked_fill_(Tensor mask, Scalar value) => InPlace(MaskedFillInPlace, mask, value);

        public Tensor softmax(long dim, ScalarType? dtype = null) => Softmax.Call(this, dim, dtype);

        public Tensor log_softmax(long dim, ScalarType? dtype = null) => LogSoftmax.Call(this, dim, dtype);

        public Tensor where(Tensor condition, Tensor y) => Where.Call(condition, this, y);

        public Tensor nan_to_num(double nan = 0.0, double? posinf = null, double? neginf = null) => NanToNum.Call(this, nan, posinf, neginf);
    }
}
