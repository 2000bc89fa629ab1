using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator View = new("view");
        private static readonly Operator Reshape = new("reshape");
        private static readonly Operator Flatten = new("flatten.using_ints");
        private static readonly Operator Permute = new("permute");
        private static readonly Operator Transpose = new("transpose.int");
        private static readonly Operator T = new("t");
        private static readonly Operator Contiguous = new("contiguous");
        private static readonly Operator Expand = new("expand");
        private static readonly Operator Narrow = new("narrow");
        private static readonly Operator Slice = new("slice.Tensor");
        private static readonly Operator Select = new("select.int");
        private static readonly Operator Unsqueeze = new("unsqueeze");
        private static readonly Operator Squeeze = new("squeeze");
        private static readonly Operator SqueezeDim = new("squeeze.dim");
        private static readonly Operator Chunk = new("chunk");
        private static readonly Operator Split = new("split.Tensor");
        private static readonly Operator SplitSizes = new("split_with_sizes");
        private static readonly Operator Repeat = new("repeat");
        private static readonly Operator Flip = new("flip");

        public Tensor view(params long[] shape) => View.Call(this, shape);

        public Tensor reshape(params long[] shape) => Reshape.Call(this, shape);

        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Flatten.Call(this, start_dim, end_dim);

        public Tensor permute(params long[] permutation) => Permute.Call(this, permutation);

        public Tensor transpose(long dim0, long dim1) => Transpose.Call(this, dim0, dim1);

        public Tensor t() => T.Call(this);

        public Tensor contiguous() => Contiguous.Call(this);

        public Tensor expand(params long[] sizes) => Expand.Call(this, sizes);

        public Tensor narrow(long dim, long start, long length) => Narrow.Call(this, dim, start, length);

        public Tensor select(long dim, long index) => Select.Call(this, dim, index);

        public Tensor unsqueeze(long dim) => Unsqueeze.Call(this, dim);

        public Tensor squeeze(long? dim = null) => dim is { } one ? SqueezeDim.Call(this, one) : Squeeze.Call(this);

        public Tensor[] chunk(long chunks, long dim = 0L) => Chunk.CallList(this, chunks, dim);

        public Tensor[] split(long size, int dim = 0) => Split.CallList(this, size, dim);

        public Tensor[] split(ReadOnlySpan<long> sizes, long dim = 0) => SplitSizes.CallList(this, sizes.ToArray(), dim);

        public Tensor repeat(params long[] sizes) => Repeat.Call(this, sizes);

        public Tensor flip(params long[] dims) => Flip.Call(this, dims);
    }
}
