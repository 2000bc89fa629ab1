using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static unsafe partial class autograd
    {
        public static IList<Tensor> grad(
            IList<Tensor> outputs,
            IList<Tensor> inputs,
            IList<Tensor>? grad_outputs = null,
            bool retain_graph = false,
            bool create_graph = false,
            bool allow_unused = false)
        {
            var (from, to, weights) = (Handles(outputs), Handles(inputs), Handles(grad_outputs));
            var found = new nint[to.Length];
            fixed (nint* output = from, input = to, weight = weights, result = found)
            {
                Native.Check(Native.sl_autograd_grad(
                    output, from.Length, input, to.Length, weight, weights.Length, retain_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, result));
            }

            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            return Array.ConvertAll(found, handle => new Tensor(handle));
        }

        internal static nint[] Handles(IList<Tensor>? tensors)
        {
            if (tensors is null)
                return [];
            var handles = new nint[tensors.Count];
            for (var k = 0; k < handles.Length; k++)
                handles[k] = tensors[k].Handle;
            return handles;
        }
    }
}
