namespace Diffusion.Core;

/// <summary>A step that was skipped because its loss or gradient was not finite.</summary>
/// <param name="Step">Its number, counted from 1: what <see cref="Trainer.Step"/> was after it.</param>
/// <param name="Indices">The samples of its batch, by their indices in the data set.</param>
public sealed record SkippedStep(long Step, IReadOnlyList<long> Indices);
