using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Compares gradients with central differences along random unit directions.</summary>
internal static class GradientCheck
{
    private const double Step = 1e-5;

    /// <summary>The largest error over the given leaves, each moved alone, relative to the norm of its gradient.</summary>
    /// <param name="loss">A float64 scalar that depends on the leaves, the same at every call.</param>
    /// <param name="leaves">Float64 tensors that require gradients.</param>
    public static double LargestError(Func<Tensor> loss, IEnumerable<Tensor> leaves)
    {
        using var scope = NewDisposeScope();
        loss().backward();
        var worst = 0.0;
        foreach (var leaf in leaves)
        {
            var direction = randn_like(leaf);
            direction.div_(direction.norm());
            var analytic = leaf.grad!.mul(direction).sum().item<double>();
            double numeric;
            using (no_grad())
            {
                leaf.add_(direction.mul(Step));
                var above = loss().item<double>();
                leaf.sub_(direction.mul(2 * Step));
                var below = loss().item<double>();
                leaf.add_(direction.mul(Step));
                numeric = (above - below) / (2 * Step);
            }

            worst = Math.Max(worst, Math.Abs(analytic - numeric) / Math.Max(1e-2, leaf.grad!.norm().item<double>()));
        }

        return worst;
    }
}
