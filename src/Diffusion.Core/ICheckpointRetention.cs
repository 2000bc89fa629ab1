namespace Diffusion.Core;

/// <summary>Which checkpoints of a run are kept when another has been saved. The newest always is.</summary>
public interface ICheckpointRetention
{
    /// <summary>Those to keep; all others are removed.</summary>
    /// <param name="checkpoints">All that are there, oldest first, the new one last.</param>
    IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints);
}
