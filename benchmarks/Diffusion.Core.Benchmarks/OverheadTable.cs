using System.Globalization;
using BenchmarkDotNet.Reports;

namespace Diffusion.Core.Benchmarks;

/// <summary>Compares the fastest iterations of a benchmark with those of another program.</summary>
internal static class OverheadTable
{
    /// <summary>Prints a table with one line for each operation.</summary>
    /// <param name="summary">The results of the benchmark.</param>
    /// <param name="baseline">
    /// The path of a file with the results of the other program: a line <c>name TAB nanoseconds</c> for each operation.
    /// </param>
    /// <param name="other">The name of the other program.</param>
    public static void Print(Summary summary, string baseline, string other)
    {
        var beside = File.ReadLines(baseline)
            .Select(line => line.Split('\t'))
            .ToDictionary(parts => parts[0], parts => double.Parse(parts[1], CultureInfo.InvariantCulture));
        Console.WriteLine();
        Line("operation", "C#", other, "ratio");
        foreach (var report in summary.Reports)
        {
            var name = report.BenchmarkCase.Descriptor.WorkloadMethodDisplayInfo.Trim('\'');
            if (report.ResultStatistics is { } measured && beside.TryGetValue(name, out var there))
                Line(name, Time(measured.Min), Time(there), (measured.Min / there).ToString("F2", CultureInfo.InvariantCulture));
        }
    }

    private static string Time(double nanoseconds) => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1000.0:F2} us");

    private static void Line(string name, string here, string there, string ratio)
        => Console.WriteLine($"{name,-42}{here,14}{there,18}{ratio,8}");
}
