using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Everything a solver may look at in one step.</summary>
public sealed class SolverStep
{
    /// <summary>The grid being walked.</summary>
    public required TimeGrid Grid { get; init; }

    /// <summary>The index k of this step, 0..N-1.</summary>
    public required int Index { get; init; }

    /// <summary>What the network says at (x, t_k). Owned by the sampler.</summary>
    public required Evaluation Current { get; init; }

    /// <summary>Earlier evaluations, newest first, at most <see cref="ISolver.HistoryLength"/> of them. Owned by the sampler.</summary>
    public required IReadOnlyList<Evaluation> History { get; init; }

    /// <summary>A further evaluation of the network at (x, t), for methods with more than one a step; the solver's to dispose.</summary>
    public required Func<Tensor, double, Evaluation> Evaluate { get; init; }

    /// <summary>Gaussian draws.</summary>
    public required INoiseSource Noise { get; init; }

    /// <summary>alpha and sigma at the start of the step.</summary>
    public NoiseLevel From => Grid.Levels[Index];

    /// <summary>alpha and sigma where the step leads.</summary>
    public NoiseLevel To => Grid.Levels[Index + 1];

    /// <summary>True for the step that ends the trajectory.</summary>
    public bool IsLast => Index == Grid.Count - 1;
}
