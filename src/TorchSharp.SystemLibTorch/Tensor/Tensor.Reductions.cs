using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator Sum = new("sum");
        private static readonly Operator SumDims = new("sum.dim_IntList");
        private static readonly Operator Mean = new("mean");
        private static readonly Operator MeanDims = new("mean.dim");
        private static readonly Operator VarDims = new("var.dim");
        private static readonly Operator Std = new("std");
        private static readonly Operator StdDims = new("std.dim");
        private static readonly Operator Norm = new("norm.Scalar");
        private static readonly Operator NormDim = new("norm.ScalarOpt_dim");
        private static readonly Operator Max = new("max");
        private static readonly Operator MaxDim = new("max.dim");
        private static readonly Operator Min = new("min");
        private static readonly Operator MinDim = new("min.dim");
        private static readonly Operator AMax = new("amax");
        private static readonly Operator AMin = new("amin");
        private static readonly Operator ArgMax = new("argmax");
        private static readonly Operator All = new("all");
        private static readonly Operator Any = new("any");
        private static readonly Operator CumSum = new("cumsum");
        private static readonly Operator TopK = new("topk");

        public Tensor sum(ScalarType? type = null) => Sum.Call(this, type);

        public Tensor sum(long dim, bool keepdim = false, ScalarType? type = null) => SumDims.Call(this, new[] { dim }, keepdim, type);

        public Tensor sum(ReadOnlySpan<long> dim, bool keepdim = false, ScalarType? type = null)
            => SumDims.Call(this, dim.ToArray(), keepdim, type);

        public Tensor mean() => Mean.Call(this);

        public Tensor mean(long[] dimensions, bool keepdim = false, ScalarType? type = null) => MeanDims.Call(this, dimensions, keepdim, type);

        public Tensor var(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null)
            => VarDims.Call(this, new[] { dim }, unbiased, keepdim);

        public Tensor var(ReadOnlySpan<long> dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null)
            => VarDims.Call(this, dimensions.ToArray(), unbiased, keepdim);

        public Tensor std(bool unbiased = true) => Std.Call(this, unbiased);

        public Tensor std(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null)
            => StdDims.Call(this, new[] { dim }, unbiased, keepdim);

        public Tensor std(ReadOnlySpan<long> dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null)
            => StdDims.Call(this, dimensions.ToArray(), unbiased, keepdim);

        public Tensor norm(float p = 2.0f) => Norm.Call(this, (double)p);

        public Tensor norm(int dim, bool keepdim = false, float p = 2.0f) => NormDim.Call(this, (double)p, new long[] { dim }, keepdim);

        public Tensor max() => Max.Call(this);

        public (Tensor values, Tensor indexes) max(long dim, bool keepdim = false) => MaxDim.CallPair(this, dim, keepdim);

        public Tensor min() => Min.Call(this);

        public (Tensor values, Tensor indexes) min(long dim, bool keepdim = false) => MinDim.CallPair(this, dim, keepdim);

        public Tensor amax(ReadOnlySpan<long> dims, bool keepdim = false, Tensor? @out = null)
            => @out is null ? AMax.Call(this, dims.ToArray(), keepdim) : throw OutNotSupported();

        public Tensor amin(ReadOnlySpan<long> dims, bool keepdim = false, Tensor? @out = null)
            => @out is null ? AMin.Call(this, dims.ToArray(), keepdim) : throw OutNotSupported();

        public Tensor argmax() => ArgMax.Call(this);

        public Tensor argmax(long dim, bool keepdim = false) => ArgMax.Call(this, dim, keepdim);

        public Tensor all() => All.Call(this);

        public Tensor any() => Any.Call(this);

        public Tensor cumsum(long dim, ScalarType? type = null) => CumSum.Call(this, dim, type);

        public (Tensor values, Tensor indexes) topk(int k, int dim = -1, bool largest = true, bool sorted = true)
            => TopK.CallPair(this, k, dim, largest, sorted);

        private static NotSupportedException OutNotSupported() => new("The system provider has no results written to a given tensor.");
    }
}
