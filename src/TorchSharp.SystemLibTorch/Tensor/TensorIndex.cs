namespace TorchSharp;

public static partial class torch
{
    /// <summary>One part of an index into a tensor.</summary>
    public struct TensorIndex
    {
        public static TensorIndex Ellipsis = new() { kind = Kind.Ellipsis };
        public static TensorIndex None = new() { kind = Kind.None };
        public static TensorIndex Colon = Slice();

        internal long? first;
        internal long? stop;
        internal long? step;
        internal Tensor? tensor;
        internal Kind kind;

        internal enum Kind
        {
            None,
            Single,
            Ellipsis,
            Tensor,
            Slice,
        }

        public static implicit operator TensorIndex(long value) => Single(value);

        public static implicit operator TensorIndex(Index index) => Single(Place(index));

        public static implicit operator TensorIndex(Range range) => Slice(range);

        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null)
            => new() { kind = Kind.Slice, first = start, stop = stop, step = step };

        internal static TensorIndex Slice(Range range)
            => Slice(Place(range.Start), range.End.Equals(Index.End) ? null : Place(range.End));

        internal static TensorIndex Single(long? index) => new() { kind = Kind.Single, first = index };

        public static TensorIndex Tensor(Tensor tensor) => new() { kind = Kind.Tensor, tensor = tensor };

        private static long Place(Index index) => index.IsFromEnd ? -index.Value : index.Value;
    }
}
