namespace Diffusion.Core.Schedules.Tests;

/// <summary>The discrete schedules that a property must hold for, by name.</summary>
public static class TestSchedules
{
    private static readonly Dictionary<string, Func<DiscreteSchedule>> Makers = new(StringComparer.Ordinal)
    {
        ["linear"] = () => DiscreteSchedule.Linear(),
        ["linear, 20 steps"] = () => DiscreteSchedule.Linear(20, 0.005, 0.9),
        ["scaled linear"] = () => DiscreteSchedule.ScaledLinear(),
        ["cosine"] = () => DiscreteSchedule.Cosine(),
        ["cosine, 4000 steps"] = () => DiscreteSchedule.Cosine(4000),
        ["sigmoid"] = () => DiscreteSchedule.FromAlphaBar(Sigmoid),
        ["linear VP"] = () => DiscreteSchedule.Discretise(new LinearVpSchedule(), 100),
        ["zero terminal SNR"] = ZeroTerminalSnr,
        ["two steps"] = () => DiscreteSchedule.FromBetas([0.3, 0.6]),
        ["one step"] = () => DiscreteSchedule.FromBetas([0.5]),
    };

    public static TheoryData<string> Names => [.. Makers.Keys];

    public static DiscreteSchedule Make(string name) => Makers[name]();

    /// <summary>The logistic curve from -3 to 3, stretched to run from 1 to 0 (Jabri et al. 2022, tau = 1).</summary>
    public static double Sigmoid(double t)
    {
        return (Logistic(3.0) - Logistic((6.0 * t) - 3.0)) / (Logistic(3.0) - Logistic(-3.0));

        static double Logistic(double x) => 1.0 / (1.0 + Math.Exp(-x));
    }

    /// <summary>The linear schedule with sqrt(abar) shifted and stretched to end at exactly 0 (Lin et al. 2024, algorithm 1).</summary>
    public static DiscreteSchedule ZeroTerminalSnr()
    {
        var linear = DiscreteSchedule.Linear();
        var roots = new double[linear.Steps];
        for (var t = 0; t < roots.Length; t++)
            roots[t] = Math.Sqrt(linear.AlphaBars[t]);
        var (first, last) = (roots[0], roots[^1]);
        var betas = new double[roots.Length];
        var previous = 1.0;
        for (var t = 0; t < betas.Length; t++)
        {
            var root = (roots[t] - last) * first / (first - last);
            betas[t] = 1.0 - (root * root / (previous * previous));
            previous = root;
        }

        return DiscreteSchedule.FromBetas(betas);
    }
}
