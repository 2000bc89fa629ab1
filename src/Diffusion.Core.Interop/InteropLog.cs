using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Interop;

/// <summary>What reading says to a logger.</summary>
internal static partial class InteropLog
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
