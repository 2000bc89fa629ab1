using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>A diffusers scheduler as a sampler of this library.</summary>
/// <param name="Sampler">Grid, solver and options.</param>
/// <param name="IsExploding">
/// True where diffusers' own samples are x / alpha, as its Euler, Heun, DPM2 and LMS schedulers keep them. Here the same trajectory runs
/// in the coordinates of the schedule: divide by <c>SamplerState.Level.Alpha</c> to compare.
/// </param>
public sealed record DiffusersSampler(DiffusionSampler Sampler, bool IsExploding = false);
