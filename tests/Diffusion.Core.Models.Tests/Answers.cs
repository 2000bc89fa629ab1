using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Networks asked with labels alone.</summary>
internal static class Answers
{
    public static Tensor Answer(this DenoisingNetwork network, Tensor xt, Tensor t, Tensor? labels = null)
        => network.Predict(xt, t, labels is null ? null : Condition.Create(labels: labels));
}
