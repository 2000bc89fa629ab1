namespace TorchSharp;

public static partial class torch
{
    public static unsafe partial class autograd
    {
        /// <summary>
        /// A function with a backward pass of its own. As in TorchSharp, an exception thrown by the backward pass ends the process, and
        /// tensors that it is given or returns are freed by its thread's scope or the garbage collector.
        /// </summary>
        public abstract class Function<T>
            where T : Function<T>, new()
        {
            public abstract string Name { get; }

            internal static T Instance { get; } = new();

            public static List<Tensor> apply_internal(params object?[] vars)
            {
                var inputs = vars.OfType<Tensor>().Where(tensor => !tensor.IsInvalid).ToArray();
                var context = new AutogradContext();
                List<Tensor> outputs;
                using (no_grad())
                    outputs = Instance.forward_internal(context, vars!);
                if (!is_grad_enabled() || !inputs.Any(tensor => tensor.requires_grad))
                    return [.. outputs.Select(output => output.detach())];
                var node = new FunctionNode(context, Instance.backward_internal, [.. vars.Select(v => v is Tensor { IsInvalid: false })]);
                return node.Connect(inputs, outputs);
            }

            internal abstract List<Tensor> forward_internal(AutogradContext ctx, params object[] vars);

            internal abstract List<Tensor?> backward_internal(AutogradContext ctx, List<Tensor> grad_outputs);
        }

        public abstract class SingleTensorFunction<T> : Function<T>
            where T : SingleTensorFunction<T>, new()
        {
            public static Tensor apply(params object?[] vars) => apply_internal(vars)[0];

            public abstract Tensor forward(AutogradContext ctx, params object[] vars);

            public abstract List<Tensor?> backward(AutogradContext ctx, Tensor grad_output);

            internal sealed override List<Tensor> forward_internal(AutogradContext ctx, params object[] vars) => [forward(ctx, vars)];

            internal sealed override List<Tensor?> backward_internal(AutogradContext ctx, List<Tensor> grad_outputs)
                => backward(ctx, grad_outputs[0]);
        }

        public abstract class MultiTensorFunction<T> : Function<T>
            where T : MultiTensorFunction<T>, new()
        {
            public static List<Tensor> apply(params object?[] vars) => apply_internal(vars);

            public abstract List<Tensor> forward(AutogradContext ctx, params object[] vars);

            public abstract List<Tensor?> backward(AutogradContext ctx, List<Tensor> grad_outputs);

            internal sealed override List<Tensor> forward_internal(AutogradContext ctx, params object[] vars) => forward(ctx, vars);

            internal sealed override List<Tensor?> backward_internal(AutogradContext ctx, List<Tensor> grad_outputs)
                => backward(ctx, grad_outputs);
        }
    }
}
