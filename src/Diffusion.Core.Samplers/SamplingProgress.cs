namespace Diffusion.Core.Samplers;

/// <summary>How far a sampler has come.</summary>
/// <param name="Step">Steps done, 1..<paramref name="Steps"/>.</param>
/// <param name="Steps">N, the steps of the whole trajectory.</param>
public readonly record struct SamplingProgress(int Step, int Steps);
