using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator Add = new("add.Tensor");
        private static readonly Operator AddScalar = new("add.Scalar");
        private static readonly Operator AddInPlace = new("add_.Tensor");
        private static readonly Operator AddScalarInPlace = new("add_.Scalar");
        private static readonly Operator Sub = new("sub.Tensor");
        private static readonly Operator SubScalar = new("sub.Scalar");
        private static readonly Operator SubInPlace = new("sub_.Tensor");
        private static readonly Operator SubScalarInPlace = new("sub_.Scalar");
        private static readonly Operator Mul = new("mul.Tensor");
        private static readonly Operator MulScalar = new("mul.Scalar");
        private static readonly Operator MulInPlace = new("mul_.Tensor");
        private static readonly Operator MulScalarInPlace = new("mul_.Scalar");
        private static readonly Operator Div = new("div.Tensor_mode");
        private static readonly Operator DivScalar = new("div.Scalar_mode");
        private static readonly Operator DivInPlace = new("div_.Tensor_mode");
        private static readonly Operator DivScalarInPlace = new("div_.Scalar_mode");
        private static readonly Operator RSubScalar = new("rsub.Scalar");
        private static readonly Operator RemainderScalar = new("remainder.Scalar");
        private static readonly Operator AddCMul = new("addcmul");
        private static readonly Operator AddCMulInPlace = new("addcmul_");
        private static readonly Operator AddCDiv = new("addcdiv");
        private static readonly Operator AddCDivInPlace = new("addcdiv_");
        private static readonly Operator Lerp = new("lerp.Tensor");
        private static readonly Operator LerpInPlace = new("lerp_.Tensor");
        private static readonly Operator Neg = new("neg");

        public static Tensor operator +(Tensor left, Tensor right) => left.add(right);

        public static Tensor operator +(Tensor left, int right) => left.add(right);

        public static Tensor operator -(Tensor left, Tensor right) => left.sub(right);

        public static Tensor operator -(Tensor left, double right) => left.sub(right);

        public static Tensor operator -(double left, Tensor right) => RSubScalar.Call(right, left);

        public static Tensor operator *(Tensor left, Tensor right) => left.mul(right);

        public static Tensor operator *(Tensor left, double right) => left.mul(right);

        public static Tensor operator *(double left, Tensor right) => right.mul(left);

        public static Tensor operator /(Tensor left, Tensor right) => left.div(right);

        public static Tensor operator /(Tensor left, double right) => left.div(right);

        public static Tensor operator /(double left, Tensor right) => Reciprocal(right, left);

        public static Tensor operator -(Tensor tensor) => tensor.neg();

        public Tensor add(Tensor target) => Add.Call(this, target);

        public Tensor add(Tensor target, Scalar alpha) => Add.Call(this, target, alpha);

        public Tensor add(Scalar scalar) => AddScalar.Call(this, scalar);

        public Tensor add_(Tensor target) => InPlace(AddInPlace, target);

        public Tensor add_(Tensor target, Scalar alpha) => InPlace(AddInPlace, target, alpha);

        public Tensor add_(Scalar scalar) => InPlace(AddScalarInPlace, scalar);

        public Tensor sub(Tensor target) => Sub.Call(this, target);

        public Tensor sub(Scalar target) => SubScalar.Call(this, target);

        public Tensor sub_(Tensor target) => InPlace(SubInPlace, target);

        public Tensor sub_(Scalar target) => InPlace(SubScalarInPlace, target);

        public Tensor mul(Tensor target) => Mul.Call(this, target);

        public Tensor mul(Scalar target) => MulScalar.Call(this, target);

        public Tensor mul_(Tensor target) => InPlace(MulInPlace, target);

        public Tensor mul_(Scalar target) => InPlace(MulScalarInPlace, target);

        public Tensor div(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => Div.Call(this, target, Name(rounding_mode));

        public Tensor div(Scalar target, RoundingMode rounding_mode = RoundingMode.None)
            => DivScalar.Call(this, target, Name(rounding_mode));

        public Tensor div_(Tensor target, RoundingMode rounding_mode = RoundingMode.None) => InPlace(DivInPlace, target, Name(rounding_mode));

        public Tensor div_(Scalar target, RoundingMode rounding_mode = RoundingMode.None)
            => InPlace(DivScalarInPlace, target, Name(rounding_mode));

        public Tensor remainder(Scalar scalar) => RemainderScalar.Call(this, scalar);

        public Tensor addcmul(Tensor tensor1, Tensor tensor2, Scalar value) => AddCMul.Call(this, tensor1, tensor2, value);

        public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value) => InPlace(AddCMulInPlace, tensor1, tensor2, value);

        public Tensor addcdiv(Tensor tensor1, Tensor tensor2, Scalar value) => AddCDiv.Call(this, tensor1, tensor2, value);

        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value) => InPlace(AddCDivInPlace, tensor1, tensor2, value);

        public Tensor lerp(Tensor end, Tensor weight) => Lerp.Call(this, end, weight);

        public Tensor lerp_(Tensor end, Tensor weight) => InPlace(LerpInPlace, end, weight);

        public Tensor neg() => Neg.Call(this);

        private static Tensor Reciprocal(Tensor tensor, Scalar numerator)
        {
            using var reciprocal = tensor.reciprocal();
            return reciprocal.mul(numerator);
        }

        private static Value Name(RoundingMode mode) => mode switch
        {
            RoundingMode.trunc => Value.Text("trunc"u8),
            RoundingMode.floor => Value.Text("floor"u8),
            _ => Value.None,
        };

        private Tensor InPlace(Operator op)
        {
            op.Run(this);
            return this;
        }

        private Tensor InPlace(Operator op, Value first)
        {
            op.Run(this, first);
            return this;
        }

        private Tensor InPlace(Operator op, Value first, Value second)
        {
            op.Run(this, first, second);
            return this;
        }

        private Tensor InPlace(Operator op, Value first, Value second, Value third)
        {
            op.Run(this, first, second, third);
            return this;
        }
    }
}
