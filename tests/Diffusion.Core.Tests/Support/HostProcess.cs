using System.Diagnostics;
using Diffusion.Core.FaultHost;

namespace Diffusion.Core.Tests.Support;

/// <summary>The run of <see cref="HostRun"/> in a process of its own, to be interrupted.</summary>
internal sealed class HostProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    public HostProcess(params string[] arguments)
        : this([], arguments)
    {
    }

    public HostProcess(Dictionary<string, string> environment, string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(HostRun).Assembly.Location);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);

        // The runtime's own files in memory are not to be limited in size.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>The lines read so far.</summary>
    public List<string> Lines { get; } = [];

    /// <summary>Reads until a number of steps were reported, or the end.</summary>
    public void AwaitSteps(int count)
    {
        while (count > 0 && _process.StandardOutput.ReadLine() is { } line)
        {
            Lines.Add(line);
            count -= line.StartsWith("step ", StringComparison.Ordinal) ? 1 : 0;
        }
    }

    /// <summary>Reads up to a line.</summary>
    public void AwaitLine(string text)
    {
        while (_process.StandardOutput.ReadLine() is { } line && line != text)
            Lines.Add(line);
    }

    /// <summary>As kill -9.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Sends a signal by its name, such as TERM.</summary>
    public void Signal(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Reads to the end.</summary>
    /// <returns>What the process returned; 128 and the number of the signal where one ended it.</returns>
    public int WaitForExit()
    {
        while (_process.StandardOutput.ReadLine() is { } line)
            Lines.Add(line);
        _process.WaitForExit();
        if (_process.ExitCode is not (0 or 130 or 137 or 143))
            Assert.Fail($"The host returned {_process.ExitCode}: {string.Join('\n', Lines)}\n{_errors.Result}");
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
