using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>How folders of diffusers are read.</summary>
public sealed record DiffusersOptions
{
    /// <summary>The classes that are known; those of this library by default.</summary>
    public DiffusersTable Table { get; init; } = DiffusersTable.Default;

    /// <summary>
    /// The variant of the weights, such as <c>fp16</c>: files named <c>diffusion_pytorch_model.fp16.safetensors</c>. Components of a pipeline
    /// without files of the variant are loaded from their other files, if one component has the variant. The default is
    /// <see langword="null"/>: files without a variant.
    /// </summary>
    public string? Variant { get; init; }

    /// <summary>
    /// The type of the weights in memory. The default is float32, for any type in the files; <see langword="null"/> for the type in the
    /// files, where that is one type.
    /// </summary>
    public ScalarType? Dtype { get; init; } = ScalarType.Float32;

    /// <summary>Where the networks go; the CPU by default.</summary>
    public Device? Device { get; init; }

    /// <summary>The logger that receives unknown settings, omitted components, and converted weights.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;
}

/// <summary>The log messages of reading.</summary>
internal static partial class DiffusersLog
{
    [LoggerMessage(1, LogLevel.Warning, "{Folder}: {ClassName} has settings that are not known, kept for saving and otherwise left aside: {Names}")]
    public static partial void UnknownSettings(this ILogger logger, string folder, string className, string names);

    [LoggerMessage(2, LogLevel.Information, "{Folder}: {Count} tensors were converted, such as {Example}")]
    public static partial void Converted(this ILogger logger, string folder, int count, string example);

    [LoggerMessage(3, LogLevel.Information, "{Folder}: {Count} tensors have older names, such as {Example}")]
    public static partial void Renamed(this ILogger logger, string folder, int count, string example);

    [LoggerMessage(4, LogLevel.Warning, "{Folder}: the component {Name} ({ClassName}) is not known, copied when saved and otherwise left aside")]
    public static partial void UnknownComponent(this ILogger logger, string folder, string name, string className);
}
