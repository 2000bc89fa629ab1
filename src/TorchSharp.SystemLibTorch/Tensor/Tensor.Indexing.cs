using System.Runtime.CompilerServices;
using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator IndexTensor = new("index.Tensor");
        private static readonly Operator IndexPutInPlace = new("index_put_");
        private static readonly Operator IndexSelect = new("index_select");
        private static readonly Operator Gather = new("gather");

        [IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => select(0, i1);
            set => index_put_(value, TensorIndex.Single(i1));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => index(TensorIndex.Single(i1), TensorIndex.Single(i2));
            set => index_put_(value, TensorIndex.Single(i1), TensorIndex.Single(i2));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3]
        {
            get => index(TensorIndex.Single(i1), TensorIndex.Single(i2), TensorIndex.Single(i3));
            set => index_put_(value, TensorIndex.Single(i1), TensorIndex.Single(i2), TensorIndex.Single(i3));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4]
        {
            get => index(TensorIndex.Single(i1), TensorIndex.Single(i2), TensorIndex.Single(i3), TensorIndex.Single(i4));
            set => index_put_(value, TensorIndex.Single(i1), TensorIndex.Single(i2), TensorIndex.Single(i3), TensorIndex.Single(i4));
        }

        private Tensor index(params TensorIndex[] indices)
        {
            var view = Sliced(indices, out var advanced);
            if (advanced is null)
                return view;
            using (view)
                return IndexTensor.Call(view, advanced);
        }

        private Tensor index_put_(Tensor value, params TensorIndex[] indices)
        {
            using var view = Sliced(indices, out var advanced);
            if (advanced is null)
                view.copy_(value);
            else
                IndexPutInPlace.Run(view, advanced, value);
            return this;
        }

        public Tensor index_select(long dim, Tensor index) => IndexSelect.Call(this, dim, index);

        public Tensor gather(long dim, Tensor index) => Gather.Call(this, dim, index);

        /// <summary>
        /// Applies the numbers, slices, new dimensions and the ellipsis of an index as views; what is left are the tensors among its
        /// parts, each at the dimension it selects from, or null where there are none.
        /// </summary>
        private Tensor Sliced(TensorIndex[] indices, out Tensor?[]? advanced)
        {
            advanced = null;
            var consumed = indices.Count(part => part.kind is TensorIndex.Kind.Single or TensorIndex.Kind.Slice)
                + indices.Sum(part => part.kind == TensorIndex.Kind.Tensor ? Consumed(part.tensor!) : 0);
            var view = alias();
            var dim = 0L;
            foreach (var part in indices)
            {
                Tensor? next = null;
                switch (part.kind)
                {
                    case TensorIndex.Kind.Single:
                        next = view.select(dim, part.first ?? 0);
                        break;
                    case TensorIndex.Kind.Slice:
                        next = Slice.Call(view, dim++, part.first, part.stop, part.step ?? 1);
                        break;
                    case TensorIndex.Kind.Ellipsis:
                        dim += Dimensions - consumed;
                        break;
                    case TensorIndex.Kind.Tensor:
                        Array.Resize(ref advanced, (int)dim + 1);
                        advanced[dim] = part.tensor;
                        dim += Consumed(part.tensor!);
                        break;
                    default:
                        next = view.unsqueeze(dim++);
                        break;
                }

                if (next is null)
                    continue;
                view.Dispose();
                view = next;
            }

            return view;
        }

        private static long Consumed(Tensor index) => index.dtype is ScalarType.Bool or ScalarType.Byte ? index.Dimensions : 1;
    }
}
