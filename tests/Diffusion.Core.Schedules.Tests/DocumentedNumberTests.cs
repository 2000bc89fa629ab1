using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>The tables of docs/schedules.md: no number that is not measured, and no member that is left out.</summary>
public sealed class DocumentedNumberTests
{
    private static readonly string[] Lines = File.ReadAllLines(Path.Combine(TestData.Root, "docs", "schedules.md"));

    private static readonly Dictionary<string, Func<INoiseSchedule>> Schedules = new(StringComparer.Ordinal)
    {
        ["Linear()"] = () => DiscreteSchedule.Linear(),
        ["LinearScaledBySteps()"] = () => DiscreteSchedule.LinearScaledBySteps(),
        ["ScaledLinear()"] = () => DiscreteSchedule.ScaledLinear(),
        ["Quadratic()"] = () => DiscreteSchedule.Quadratic(),
        ["Constant()"] = () => DiscreteSchedule.Constant(),
        ["Jsd()"] = () => DiscreteSchedule.Jsd(),
        ["WarmUp(fraction: 0.1)"] = () => DiscreteSchedule.WarmUp(fraction: 0.1),
        ["WarmUp(fraction: 0.5)"] = () => DiscreteSchedule.WarmUp(fraction: 0.5),
        ["SigmoidBeta()"] = () => DiscreteSchedule.SigmoidBeta(),
        ["SigmoidAlphaBar()"] = () => DiscreteSchedule.SigmoidAlphaBar(),
        ["Cosine()"] = () => DiscreteSchedule.Cosine(),
        ["CosineShifted(imageSize: 256)"] = () => DiscreteSchedule.CosineShifted(imageSize: 256),
        ["CosineInterpolated(imageSize: 256)"] = () => DiscreteSchedule.CosineInterpolated(imageSize: 256),
        ["Laplace()"] = () => DiscreteSchedule.Laplace(),
        ["LaplaceRoot()"] = () => DiscreteSchedule.LaplaceRoot(),
        ["Exponential()"] = () => DiscreteSchedule.Exponential(),
        ["ScaledLinear().RescaledToZeroTerminalSnr()"] = () => DiscreteSchedule.ScaledLinear().RescaledToZeroTerminalSnr(),
        ["Linear().Respaced(\"50\")"] = () => DiscreteSchedule.Linear().Respaced("50"),
        ["new LinearVpSchedule()"] = () => new LinearVpSchedule(),
        ["new SubVpSchedule()"] = () => new SubVpSchedule(),
        ["new CosineLogSnrSchedule()"] = () => new CosineLogSnrSchedule(),
        ["ResolutionShiftedSchedule.Shifted(256)"] = () => ResolutionShiftedSchedule.Shifted(256),
        ["ResolutionShiftedSchedule.Interpolated(256)"] = () => ResolutionShiftedSchedule.Interpolated(256),
        ["new VarianceExplodingSchedule()"] = () => new VarianceExplodingSchedule(),
        ["new EdmSchedule()"] = () => new EdmSchedule(),
        ["new EdmSchedule(timeScale: 250.0)"] = () => new EdmSchedule(timeScale: 250.0),
        ["new RectifiedFlowSchedule()"] = () => new RectifiedFlowSchedule(),
    };

    public static TheoryData<string> Names => [.. Schedules.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Numbers_of_a_schedule_are_those_measured(string code)
    {
        var schedule = Schedules[code]();
        var cells = Lines.Single(line => line.StartsWith($"| `{code}` |", StringComparison.Ordinal))
            .Split('|', StringSplitOptions.TrimEntries);
        var ratios = $"{Text(schedule.LevelAt(schedule.MinTime).NoiseToSignalRatio, "G4")} to {Text(schedule.LevelAt(schedule.MaxTime).NoiseToSignalRatio, "G4")}";

        if (schedule is DiscreteSchedule discrete)
        {
            var half = Enumerable.Range(0, discrete.Steps).First(t => discrete.LogSnr(t) <= 0.0);
            cells[3..6].Should().Equal(Text(discrete.LogSnr(discrete.MaxTime), "F2"), ratios, Text(half, "F0"));
        }
        else
        {
            cells[3..5].Should().Equal($"{Text(schedule.MinTime, "G4")} to {Text(schedule.MaxTime, "G4")}", ratios);
        }
    }

    [Fact]
    public void No_schedule_prediction_or_variance_is_left_out()
    {
        const BindingFlags Static = BindingFlags.Public | BindingFlags.Static;
        var classes = typeof(INoiseSchedule).Assembly.GetExportedTypes()
            .Where(type => type.IsClass && typeof(INoiseSchedule).IsAssignableFrom(type) && type != typeof(DiscreteSchedule));
        var members = new[] { typeof(DiscreteSchedule), typeof(TimestepShift), typeof(Prediction), typeof(ReverseVariance) }
            .SelectMany(type => type.GetMembers(Static))
            .Where(member => member is MethodInfo { IsSpecialName: false } or PropertyInfo)
            .Where(member => member.Name is not (nameof(TimestepShift.None) or nameof(Prediction.EpsilonGivenX0)))
            .Concat(classes);
        var documented = string.Join(' ', Lines.SelectMany(line => line.Split('`').Where((_, i) => i % 2 == 1)));

        members.Select(member => member.Name).Distinct()
            .Where(name => !Regex.IsMatch(documented, $@"\b{name}\b")).Should().BeEmpty("each belongs into the tables");
    }

    private static string Text(double value, string format)
        => double.IsInfinity(value) ? (value < 0.0 ? "-inf" : "inf") : value.ToString(format, CultureInfo.InvariantCulture);
}
