namespace Diffusion.Core;

/// <summary>
/// The exception that is thrown when a checkpoint cannot be written or read, or a run cannot be resumed from it. The state of the trainer
/// is unchanged.
/// </summary>
public sealed class CheckpointException : IOException
{
    /// <summary>Initializes a new instance of the <see cref="CheckpointException"/> class.</summary>
    public CheckpointException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="CheckpointException"/> class with a message.</summary>
    public CheckpointException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="CheckpointException"/> class with a message and a cause.</summary>
    public CheckpointException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="CheckpointException"/> class for one file or folder.</summary>
    /// <param name="path">The path of the file or folder.</param>
    /// <param name="what">The rest of the message: what was expected, and what was found.</param>
    /// <param name="innerException">The cause; or <see langword="null"/>.</param>
    public CheckpointException(string path, string what, Exception? innerException)
        : base($"{path}: {what}", innerException) => Path = path;

    /// <summary>The file or folder that caused the error; <see langword="null"/> if it is unknown.</summary>
    public string? Path { get; init; }

    /// <summary>The size of the checkpoint in bytes if it could not be written; otherwise <see langword="null"/>.</summary>
    public long? RequiredBytes { get; init; }
}
