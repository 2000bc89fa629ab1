using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            private static readonly Operator LowerTriangle = new("tril");
            private static readonly Operator Attention = new("scaled_dot_product_attention");

            /// <summary>
            /// softmax(q k^T / sqrt(E) + mask) v; the one operator where libtorch has it (2.0 and later), where not a kernel of our own
            /// for what is usual on the CPU, and composed for the rest.
            /// </summary>
            public static Tensor scaled_dot_product_attention(
                Tensor query, Tensor key, Tensor value, Tensor? attn_mask = null, double p = 0.0, bool is_casual = false)
            {
                if (p < 0)
                    throw new ArgumentException("Dropout probability must be greater than or equal to zero.");
                if (is_casual && attn_mask is not null)
                    throw new ArgumentException("Casual attention masking cannot pass a mask.");
                return Attention.Exists
                    ? Attention.Call(query, key, value, attn_mask, p, is_casual)
                    : (p == 0 ? Fused(query, key, value, attn_mask, is_casual) : null)
                        ?? Composed(query, key, value, attn_mask, p, is_casual);
            }

            /// <summary>Null where the kernel does not serve.</summary>
            private static unsafe Tensor? Fused(Tensor query, Tensor key, Tensor value, Tensor? mask, bool causal)
            {
                nint result;
                Native.Check(Native.sl_attention(query.Handle, key.Handle, value.Handle, mask?.Handle ?? 0, causal ? 1 : 0, &result));
                GC.KeepAlive(query);
                GC.KeepAlive(key);
                GC.KeepAlive(value);
                GC.KeepAlive(mask);
                return result == 0 ? null : new Tensor(result);
            }

            private static Tensor Composed(Tensor query, Tensor key, Tensor value, Tensor? mask, double p, bool causal)
            {
                using var scope = NewDisposeScope();
                var shape = query.shape;
                var logits = query.mul(1.0 / Math.Sqrt(shape[^1])).matmul(key.transpose(-2, -1));
                if (causal)
                    mask = LowerTriangle.Call(ones([shape[^2], key.shape[^2]], ScalarType.Bool, query.device));
                var hidden = mask?.dtype == ScalarType.Bool ? mask.logical_not() : null;
                if (hidden is not null)
                    logits = logits.masked_fill(hidden, double.NegativeInfinity);
                else if (mask is not null)
                    logits = logits.add(mask);
                var weights = logits.softmax(-1);

                // A query that may see nothing gets zeros, as from the operator, not the NaN of an empty softmax.
                if (hidden is not null)
                    weights = weights.masked_fill(hidden, 0);
                return (p > 0 ? dropout(weights, p) : weights).matmul(value).MoveToOuterDisposeScope();
            }
        }
    }
}
