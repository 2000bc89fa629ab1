namespace Diffusion.Core;

/// <summary>A checkpoint cannot be written, or cannot be resumed from; the trainer is as it was.</summary>
public sealed class CheckpointException : IOException
{
    /// <summary>An error about a checkpoint.</summary>
    public CheckpointException()
    {
    }

    /// <summary>An error about a checkpoint.</summary>
    public CheckpointException(string message)
        : base(message)
    {
    }

    /// <summary>An error about a checkpoint, with what caused it.</summary>
    public CheckpointException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>An error about one file or folder.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="what">What was expected of it, and what it is.</param>
    /// <param name="innerException">What caused it, or null.</param>
    public CheckpointException(string path, string what, Exception? innerException)
        : base($"{path}: {what}", innerException) => Path = path;

    /// <summary>The file or folder that is wrong, where there is one.</summary>
    public string? Path { get; init; }

    /// <summary>Bytes of disk that the checkpoint takes, where it could not be written; null otherwise.</summary>
    public long? RequiredBytes { get; init; }
}
