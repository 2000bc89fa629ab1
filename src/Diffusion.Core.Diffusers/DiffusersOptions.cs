using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>Options for reading folders of diffusers.</summary>
public sealed record DiffusersOptions
{
    /// <summary>The supported classes. The default is <see cref="DiffusersTable.Default"/>.</summary>
    public DiffusersTable Table { get; init; } = DiffusersTable.Default;

    /// <summary>
    /// The variant of the weights, such as <c>fp16</c>: files named <c>diffusion_pytorch_model.fp16.safetensors</c>. Components of a pipeline
    /// without files of the variant are loaded from their other files, if one component has the variant. The default is
    /// <see langword="null"/>: files without a variant.
    /// </summary>
    public string? Variant { get; init; }

    /// <summary>
    /// The type of the weights in memory. The default is float32, whatever the type in the files. <see langword="null"/> specifies the
    /// floating point type in the files, or float32 if they contain several.
    /// </summary>
    public ScalarType? Dtype { get; init; } = ScalarType.Float32;

    /// <summary>The device of the networks. The default is <see langword="null"/>: the CPU.</summary>
    public Device? Device { get; init; }

    /// <summary>
    /// The logger for unknown settings, unused components, and converted or renamed weights. The default discards all messages.
    /// </summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;
}

/// <summary>Log messages for reading folders of diffusers.</summary>
internal static partial class DiffusersLog
{
    [LoggerMessage(1, LogLevel.Warning, "{Folder}: {ClassName} has unknown settings, ignored and written back when saved: {Names}")]
    public static partial void UnknownSettings(this ILogger logger, string folder, string className, string names);

    [LoggerMessage(2, LogLevel.Information, "{Folder}: {Count} tensors were converted, such as {Example}")]
    public static partial void Converted(this ILogger logger, string folder, int count, string example);

    [LoggerMessage(3, LogLevel.Information, "{Folder}: {Count} tensors were renamed, such as {Example}")]
    public static partial void Renamed(this ILogger logger, string folder, int count, string example);

    [LoggerMessage(4, LogLevel.Warning, "{Folder}: the component {Name} ({ClassName}) is not used for sampling, but is saved")]
    public static partial void UnknownComponent(this ILogger logger, string folder, string name, string className);

    [LoggerMessage(
        5,
        LogLevel.Warning,
        "{Folder}: the component {Name} is of the class {ClassName}, which is not supported; prompts cannot be encoded")]
    public static partial void UnsupportedComponent(this ILogger logger, string folder, string name, string className);
}
