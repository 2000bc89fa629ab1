using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator View = new("view");
        private static readonly Operator Reshape = new("reshape");
        private static readonly Operator Flatten = new("flatten.using_ints");
        private static readonly Operator Unflatten = new("unflatten.int");
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
        private static readonly Operator Unbind = new("unbind.int");
        private static readonly Operator Repeat = new("repeat");
        private static readonly Operator RepeatInterleave = new("repeat_interleave.self_int");
        private static readonly Operator Flip = new("flip");
        private static readonly Operator Roll = new("roll");
        private static readonly Operator AsStrided = new("as_strided");
        private static readonly Operator MoveDim = new("movedim.intlist");
        private static readonly Operator Diagonal = new("diagonal");
        private static readonly Operator TriL = new("tril");
        private static readonly Operator TriU = new("triu");

        public Tensor view(params long[] shape) => View.Call(this, shape);

        public Tensor view_as(Tensor other) => view(other.shape);

        public Tensor reshape(params long[] shape) => Reshape.Call(this, shape);

        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Flatten.Call(this, start_dim, end_dim);

        public Tensor unflatten(long dim, params long[] sizes) => Unflatten.Call(this, dim, sizes);

        public Tensor permute(params long[] permutation) => Permute.Call(this, permutation);

        public Tensor transpose(long dim0, long dim1) => Transpose.Call(this, dim0, dim1);

        public Tensor t() => T.Call(this);

        public Tensor contiguous() => Contiguous.Call(this);

        public Tensor expand(params long[] sizes) => Expand.Call(this, sizes);

        public Tensor expand(long[] sizes, bool isImplicit = false) => Expand.Call(this, sizes, isImplicit);

        public Tensor expand(ReadOnlySpan<long> sizes, bool isImplicit = false) => Expand.Call(this, sizes.ToArray(), isImplicit);

        public Tensor expand_as(Tensor other) => expand(other.shape, false);

        public Tensor narrow(long dim, long start, long length) => Narrow.Call(this, dim, start, length);

        public Tensor slice(long dim, long start, long finish, long step) => Slice.Call(this, dim, start, finish, step);

        public Tensor select(long dim, long index) => Select.Call(this, dim, index);

        public Tensor unsqueeze(long dim) => Unsqueeze.Call(this, dim);

        public Tensor squeeze(long? dim = null) => dim is { } one ? SqueezeDim.Call(this, one) : Squeeze.Call(this);

        public Tensor[] chunk(long chunks, long dim = 0L) => Chunk.CallList(this, chunks, dim);

        public Tensor[] split(long size, int dim = 0) => Split.CallList(this, size, dim);

        public Tensor[] split(long[] sizes, long dim = 0) => SplitSizes.CallList(this, sizes, dim);

        public Tensor[] split(ReadOnlySpan<long> sizes, long dim = 0) => SplitSizes.CallList(this, sizes.ToArray(), dim);

        public Tensor[] split(params long[] sizes) => SplitSizes.CallList(this, sizes);

        public Tensor[] unbind(long dimension = 0L) => Unbind.CallList(this, dimension);

        public Tensor repeat(params long[] sizes) => Repeat.Call(this, sizes);

        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null)
            => RepeatInterleave.Call(this, repeats, dim, output_size);

        public Tensor flip(params long[] dims) => Flip.Call(this, dims);

        public Tensor roll(long shifts, long? dims = null) => Roll.Call(this, new[] { shifts }, dims is { } dim ? new[] { dim } : Array.Empty<long>());

        public Tensor as_strided(long[] size, long[] strides, long storageOffset = 0L) => AsStrided.Call(this, size, strides, storageOffset);

        public Tensor movedim(long[] source, long[] destination) => MoveDim.Call(this, source, destination);

        public Tensor diagonal(long offset = 0L, long dim1 = 0L, long dim2 = 1L) => Diagonal.Call(this, offset, dim1, dim2);

        public Tensor tril(long diagonal = 0L) => TriL.Call(this, diagonal);

        public Tensor triu(long diagonal = 0L) => TriU.Call(this, diagonal);
    }
}
