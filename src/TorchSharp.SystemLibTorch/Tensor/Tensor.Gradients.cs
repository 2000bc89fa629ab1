using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public unsafe partial class Tensor
    {
        private static readonly Operator Detach = new("detach");

        public bool requires_grad
        {
            get => Kept(Native.sl_requires_grad(Handle)) != 0;
            set
            {
                Native.Check(Native.sl_set_requires_grad(Handle, value ? 1 : 0));
                GC.KeepAlive(this);
            }
        }

        public Tensor? grad
        {
            get
            {
                nint gradient;
                Native.Check(Native.sl_grad(Handle, &gradient));
                GC.KeepAlive(this);
                return gradient == 0 ? null : new Tensor(gradient);
            }

            set
            {
                Native.Check(Native.sl_set_grad(Handle, value?.Handle ?? 0));
                GC.KeepAlive(this);
                GC.KeepAlive(value);
            }
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor detach() => Detach.Call(this);

        public void backward(
            IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false, IList<Tensor>? inputs = null)
        {
            var (weights, leaves) = (autograd.Handles(grad_tensors), autograd.Handles(inputs));
            fixed (nint* weight = weights, leaf = leaves)
            {
                Native.Check(Native.sl_backward(
                    Handle, weight, weights.Length, retain_graph ? 1 : 0, create_graph ? 1 : 0, leaf, leaves.Length));
            }

            GC.KeepAlive(this);
            GC.KeepAlive(grad_tensors);
            GC.KeepAlive(inputs);
        }
    }
}
