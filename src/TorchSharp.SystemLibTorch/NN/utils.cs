using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static class utils
        {
            /// <summary>Scales gradients so that their common 2-norm is at most a limit.</summary>
            public static double clip_grad_norm_(IEnumerable<Parameter> tensors, double max_norm, double norm_type = 2.0)
            {
                using var scope = NewDisposeScope();
                using var mode = no_grad();
                var gradients = tensors.Select(tensor => tensor.grad).OfType<Tensor>().ToArray();
                if (gradients.Length == 0)
                    return 0.0;
                var total = stack(gradients.Select(gradient => gradient.norm((float)norm_type))).norm((float)norm_type);
                var norm = total.to(ScalarType.Float64).item<double>();
                if (max_norm / (norm + 1e-6) < 1.0)
                {
                    foreach (var gradient in gradients)
                        gradient.mul_(max_norm / (norm + 1e-6));
                }

                return norm;
            }
        }
    }
}
