using System.Collections.Generic;
using System.Linq;

namespace Diffusion.Core.Build.Tests;

/// <summary>What a library needs, as text: "name@version" for each dynamic symbol, and its versions of libstdc++.</summary>
internal static class SymbolTable
{
    public static List<string> Symbols(ElfImage image)
    {
        var versions = image.NeededVersions().ToDictionary(version => version.Index, version => version.Name);
        return [.. image.Symbols().Select(symbol =>
        {
            var version = versions.GetValueOrDefault(image.VersionOf(symbol), "");
            return $"{symbol.Name}@{version}{(symbol.Section == 0 ? "" : " defined")}";
        })];
    }

    public static List<string> Versions(ElfImage image) =>
        [.. image.NeededVersions().Select(version => $"{version.File} {version.Name}{(version.IsWeak ? " weak" : "")}")];
}
