using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom optimizer: steps of one size along the sign of a running mean of the gradients.</summary>
internal sealed record SignDescent(double Momentum) : IOptimizer
{
    public string Name => nameof(SignDescent);

    public IOptimizerState Start(FlatLayout layout) => new State(Momentum, layout);

    private sealed class State(double momentum, FlatLayout layout) : IOptimizerState
    {
        private readonly Tensor _mean = layout.NewBuffer();

        public IReadOnlyDictionary<string, Tensor> Tensors => new Dictionary<string, Tensor> { ["mean"] = _mean };

        public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
        {
            using var scope = NewDisposeScope();
            FlatLayout.Blend(_mean, gradients, apply.mul(1.0 - momentum));
            var sign = _mean.div(_mean.abs().add(1e-12));
            layout.Move(weights, sign, apply.mul(-learningRate));
        }

        public void Dispose() => _mean.Dispose();
    }
}
