using Spectre.Console;

namespace Samples;

/// <summary>The output of the samples.</summary>
internal static class Terminal
{
    /// <summary>
    /// Switches colours and progress bars off where the output is redirected, also where the environment, such as that of a build server,
    /// switches them on.
    /// </summary>
    public static void Configure()
    {
        if (Console.IsOutputRedirected)
            AnsiConsole.Console = AnsiConsole.Create(new AnsiConsoleSettings
            {
                Ansi = AnsiSupport.No,
                ColorSystem = ColorSystemSupport.NoColors,
                Interactive = InteractionSupport.No,
                Out = new AnsiConsoleOutput(Console.Out),
            });
    }
}
