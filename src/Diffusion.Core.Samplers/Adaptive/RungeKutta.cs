using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>The right-hand side of an ordinary differential equation, <c>dy/ds = f(s, y)</c>.</summary>
/// <param name="s">The independent variable.</param>
/// <param name="y">[B, ...] the state. It must not be modified.</param>
/// <returns>A new tensor with the shape and type of <paramref name="y"/>. The caller must dispose it.</returns>
public delegate Tensor OdeFunction(double s, Tensor y);

/// <summary>
/// Integrates ordinary differential equations over tensors. Implementations have no state: the same arguments give the same result.
/// </summary>
public interface IOdeSolver
{
    /// <summary>Integrates the equation from <paramref name="from"/> to <paramref name="to"/>.</summary>
    /// <param name="function">The right-hand side.</param>
    /// <param name="y">[B, ...] the state at the start, floating point. It is not modified.</param>
    /// <param name="from">The start, finite.</param>
    /// <param name="to">The end, finite, on either side of the start.</param>
    /// <param name="cancellationToken">Checked before each step.</param>
    /// <returns>The state at the end, with the shape and type of <paramref name="y"/>. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// The start or the end is not finite, or the function returns a tensor of another shape or type.
    /// </exception>
    Tensor Integrate(OdeFunction function, Tensor y, double from, double to, CancellationToken cancellationToken = default);
}

/// <summary>An explicit Runge-Kutta method with steps of equal size. It does not wait for the device.</summary>
/// <param name="tableau">The coefficients of the method.</param>
/// <param name="steps">N, the number of steps, at least 1.</param>
public sealed class RungeKutta(ButcherTableau tableau, int steps) : IOdeSolver
{
    /// <summary>The coefficients of the method.</summary>
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

    /// <summary>Throws if the arguments of an integration are not valid.</summary>
    internal static void Check(OdeFunction function, Tensor y, double from, double to)
    {
        ArgumentNullException.ThrowIfNull(function);
        Guard.Floating(y);
        if (!double.IsFinite(from) || !double.IsFinite(to))
            throw new ArgumentException(Invariant($"The interval must be finite, got {from} to {to}."), nameof(from));
    }

    /// <summary>Computes the slopes of stage <paramref name="first"/> and all later stages, in the current dispose scope.</summary>
    internal static void Fill(
        ButcherTableau tableau, OdeFunction function, Tensor y, double s, double h, Tensor[] slopes, int first)
    {
        for (var i = first; i < tableau.Stages; i++)
        {
            var at = i == 0 ? y : Combine(y, h, tableau.Stage(i), slopes);
            slopes[i] = Slope(function, s + (tableau.Nodes[i] * h), at);
        }
    }

    /// <summary>Evaluates the right-hand side and checks its shape and type.</summary>
    internal static Tensor Slope(OdeFunction function, double s, Tensor y)
    {
        var slope = function(s, y)
            ?? throw new ArgumentException("The right-hand side must return a tensor, got null.", nameof(function));
        Guard.SameShape(y, slope, "the state", "the slope");
        Guard.SameType(y, slope, "the state", "the slope");
        return slope;
    }

    /// <summary>
    /// Computes one step of an embedded method whose last stage is the first stage of the next step, such as that of Dormand and Prince.
    /// The caller controls the step size: <see cref="DormandPrince"/> as in Hairer et al., <see cref="ProbabilityFlowSampler"/> as in
    /// k-diffusion.
    /// </summary>
    /// <param name="tableau">The coefficients of the method.</param>
    /// <param name="function">The right-hand side.</param>
    /// <param name="y">The state at <paramref name="s"/>.</param>
    /// <param name="slope">The slope at <paramref name="s"/>.</param>
    /// <param name="s">The start of the step.</param>
    /// <param name="h">The signed length of the step.</param>
    /// <returns>The state and the slope at the end of the step, and the error estimate, in the current dispose scope.</returns>
    internal static (Tensor Next, Tensor Slope, Tensor Error) EmbeddedStep(
        ButcherTableau tableau, OdeFunction function, Tensor y, Tensor slope, double s, double h)
    {
        var slopes = new Tensor[tableau.Stages];
        slopes[0] = slope;
        Fill(tableau, function, y, s, h, slopes, first: 1);
        var next = Combine(y, h, tableau.Weights, slopes);
        var terms = new (double, Tensor)[slopes.Length];
        for (var i = 0; i < terms.Length; i++)
            terms[i] = (h * tableau.Error[i], slopes[i]);
        return (next, slopes[^1], LinearCombination.Of(terms));
    }

    /// <summary>Computes <c>y + h sum_i weight_i slope_i</c>, in the current dispose scope.</summary>
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

/// <summary>
/// The coefficients of an explicit Runge-Kutta method: stage i is <c>k_i = f(s + c_i h, y + h sum_j a_ij k_j)</c>, and the step is
/// <c>y + h sum_i b_i k_i</c>. The class is immutable.
/// </summary>
/// <remarks>Source: Butcher 1964; Hairer, Norsett and Wanner 1993, "Solving Ordinary Differential Equations I", section II.1.</remarks>
public sealed class ButcherTableau
{
    private readonly double[][] _stages;
    private readonly double[] _weights;
    private readonly double[] _error;
    private readonly double[] _nodes;

    /// <summary>Initializes a new instance of the <see cref="ButcherTableau"/> class. The nodes c_i are the sums of the a_ij.</summary>
    /// <param name="order">The order of the step.</param>
    /// <param name="stages">The coefficients a_ij. Stage i, counted from 0, has i coefficients.</param>
    /// <param name="weights">The weights b_i, one for each stage.</param>
    /// <param name="error">b_i minus the weights of an embedded method, for the error estimate. The default is empty: no estimate.</param>
    /// <exception cref="ArgumentException">The numbers of coefficients do not match, or the weights do not sum to 1.</exception>
    public ButcherTableau(
        int order, IReadOnlyList<double[]> stages, ReadOnlySpan<double> weights, ReadOnlySpan<double> error = default)
    {
        ArgumentNullException.ThrowIfNull(stages);
        Order = Guard.InRange(order, 1, int.MaxValue);
        _stages = [.. stages.Select(row => (double[])row.Clone())];
        (_weights, _error) = (weights.ToArray(), error.ToArray());
        for (var i = 0; i < _stages.Length; i++)
        {
            if (_stages[i].Length != i)
                throw new ArgumentException(Invariant($"Stage {i} must have {i} coefficients, got {_stages[i].Length}."), nameof(stages));
        }

        if (_weights.Length == 0 || _weights.Length != _stages.Length || (_error.Length != 0 && _error.Length != _weights.Length))
            throw new ArgumentException(
                $"There must be one weight, and one error coefficient or none, for each of the {_stages.Length} stages, got "
                + $"{_weights.Length} and {_error.Length}.",
                nameof(weights));
        if (Math.Abs(_weights.Sum() - 1.0) > 1e-12)
            throw new ArgumentException(Invariant($"The weights must sum to 1, got {_weights.Sum()}."), nameof(weights));
        _nodes = [.. _stages.Select(row => row.Sum())];
    }

    /// <summary>Euler's method, of order 1.</summary>
    public static ButcherTableau Euler { get; } = new(1, [[]], [1.0]);

    /// <summary>Heun's method, of order 2: the trapezoidal rule with an Euler step to the end point.</summary>
    public static ButcherTableau Heun { get; } = new(2, [[], [1.0]], [0.5, 0.5]);

    /// <summary>The classical Runge-Kutta method, of order 4.</summary>
    public static ButcherTableau RungeKutta4 { get; } = new(
        4, [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0]);

    /// <summary>
    /// The method of Dormand and Prince 1980, of order 5 with an embedded method of order 4. Its last stage is the first stage of the next
    /// step.
    /// </summary>
    public static ButcherTableau DormandPrince5 { get; } = new(
        5,
        [
            [],
            [1.0 / 5.0],
            [3.0 / 40.0, 9.0 / 40.0],
            [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
            [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
            [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
            [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
        ],
        [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
        [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0]);

    /// <summary>The order of the step.</summary>
    public int Order { get; }

    /// <summary>The number of stages.</summary>
    public int Stages => _stages.Length;

    /// <summary>The weights b_i.</summary>
    public ReadOnlySpan<double> Weights => _weights;

    /// <summary>b_i minus the weights of the embedded method; empty if there is none.</summary>
    public ReadOnlySpan<double> Error => _error;

    /// <summary>The nodes c_i.</summary>
    public ReadOnlySpan<double> Nodes => _nodes;

    /// <summary>Returns the coefficients a_ij of stage i.</summary>
    public ReadOnlySpan<double> Stage(int i) => _stages[i];
}
