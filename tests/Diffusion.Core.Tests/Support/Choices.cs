namespace Diffusion.Core.Tests.Support;

/// <summary>All there is of a kind, for theories over it.</summary>
public static class Choices
{
    /// <summary>All optimizers, with settings that reach each of their paths.</summary>
    public static IEnumerable<IOptimizer> Optimizers =>
    [
        new AdamW(),
        new AdamW { Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-6, WeightDecay = 0.1 },
        new Adam(),
        new Adam { WeightDecay = 0.1 },
        new Sgd { Momentum = 0.0, WeightDecay = 0.1 },
        new Sgd { WeightDecay = 0.1, Nesterov = true },
        new Sgd { Momentum = 0.8, Dampening = 0.3 },
        new Lion(),
        new Lion { Beta1 = 0.95, Beta2 = 0.98, WeightDecay = 0.1 },
        new Adafactor(),
        new Adafactor { Beta1 = 0.9, RelativeStep = true, WeightDecay = 0.1, ClipThreshold = 0.5 },
    ];
}
