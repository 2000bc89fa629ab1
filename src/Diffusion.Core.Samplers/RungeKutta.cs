using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>An explicit Runge-Kutta method in equal steps. Nothing waits for the device.</summary>
/// <param name="tableau">The method.</param>
/// <param name="steps">N, at least 1.</param>
public sealed class RungeKutta(ButcherTableau tableau, int steps) : IOdeSolver
{
    /// <summary>The method.</summary>
    public ButcherTableau Tableau { get; } = tableau ?? throw new ArgumentNullException(nameof(tableau));

    /// <summary>N, the number of steps.</summary>
    public int Steps { get; } = Guard.InRange(steps, 1, int.MaxValue);

    /// <inheritdoc/>
    public Tensor Integrate(OdeFunction function, Tensor y, double from, double to, CancellationToken cancellationToken = default)
    {
        Check(function, y, from, to);
        var h = (to - from) / Steps;
        using var scope = NewDisposeScope();
        var state = y.clone();
        for (var k = 0; k < Steps; k++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var previous = state;
            state = Step(function, previous, from + (k * h), h);
        }

        return state.MoveToOuterDisposeScope();
    }

    /// <summary>Refuses what no method can integrate.</summary>
    internal static void Check(OdeFunction function, Tensor y, double from, double to)
    {
        ArgumentNullException.ThrowIfNull(function);
        Guard.Floating(y);
        if (!double.IsFinite(from) || !double.IsFinite(to))
            throw new ArgumentException($"The interval must be finite, got {from} to {to}.", nameof(from));
    }

    /// <summary>The slopes of the stages from <paramref name="first"/> on, in the current scope.</summary>
    internal static void Fill(
        ButcherTableau tableau, OdeFunction function, Tensor y, double s, double h, Tensor[] slopes, int first)
    {
        for (var i = first; i < tableau.Stages; i++)
        {
            var at = i == 0 ? y : Combine(y, h, tableau.Stage(i), slopes);
            slopes[i] = Slope(function, s + (tableau.Nodes[i] * h), at);
        }
    }

    /// <summary>The right-hand side, checked.</summary>
    internal static Tensor Slope(OdeFunction function, double s, Tensor y)
    {
        var slope = function(s, y)
            ?? throw new ArgumentException("The right-hand side must answer with a tensor, got null.", nameof(function));
        Guard.SameShape(y, slope, "the state", "the slope");
        Guard.SameType(y, slope, "the state", "the slope");
        return slope;
    }

    /// <summary><c>y + h sum_i weight_i slope_i</c>, in the current scope.</summary>
    internal static Tensor Combine(Tensor y, double h, ReadOnlySpan<double> weights, Tensor[] slopes)
    {
        var terms = new (double, Tensor)[weights.Length + 1];
        terms[0] = (1.0, y);
        for (var i = 0; i < weights.Length; i++)
            terms[i + 1] = (h * weights[i], slopes[i]);
        return LinearCombination.Of(terms);
    }

    private Tensor Step(OdeFunction function, Tensor y, double s, double h)
    {
        using var scope = NewDisposeScope();
        var slopes = new Tensor[Tableau.Stages];
        Fill(Tableau, function, y, s, h, slopes, first: 0);
        return Combine(y, h, Tableau.Weights, slopes).MoveToOuterDisposeScope();
    }
}
