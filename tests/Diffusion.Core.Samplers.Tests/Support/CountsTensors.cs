namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>Tests that count the tensors of the process run when no other test does.</summary>
[CollectionDefinition(nameof(CountsTensors), DisableParallelization = true)]
public sealed class CountsTensors;
