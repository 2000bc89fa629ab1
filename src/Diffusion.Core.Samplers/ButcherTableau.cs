namespace Diffusion.Core.Samplers;

/// <summary>
/// The coefficients of an explicit Runge-Kutta method: stage i is <c>k_i = f(s + c_i h, y + h sum_j a_ij k_j)</c>, and the step is
/// <c>y + h sum_i b_i k_i</c>. Immutable.
/// </summary>
/// <remarks>Source: Butcher 1964; Hairer, Norsett and Wanner 1993, "Solving Ordinary Differential Equations I", section II.1.</remarks>
public sealed class ButcherTableau
{
    private readonly double[][] _stages;
    private readonly double[] _weights;
    private readonly double[] _error;
    private readonly double[] _nodes;

    /// <summary>A method from its coefficients; the nodes c_i are the sums of the a_ij.</summary>
    /// <param name="order">The order of the step.</param>
    /// <param name="stages">a_ij: the i-th has i numbers, the first none.</param>
    /// <param name="weights">b_i, one for each stage.</param>
    /// <param name="error">b_i less those of an embedded method, to estimate the error with; empty where there is none.</param>
    /// <exception cref="ArgumentException">The numbers of coefficients do not fit each other, or the weights do not sum to 1.</exception>
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
                throw new ArgumentException($"Stage {i} must have {i} coefficients, got {_stages[i].Length}.", nameof(stages));
        }

        if (_weights.Length == 0 || _weights.Length != _stages.Length || (_error.Length != 0 && _error.Length != _weights.Length))
            throw new ArgumentException(
                $"There must be one weight for each of {_stages.Length} stages, got {_weights.Length} and {_error.Length}.",
                nameof(weights));
        if (Math.Abs(_weights.Sum() - 1.0) > 1e-12)
            throw new ArgumentException($"The weights must sum to 1, got {_weights.Sum()}.", nameof(weights));
        _nodes = [.. _stages.Select(row => row.Sum())];
    }

    /// <summary>Euler's method, of order 1.</summary>
    public static ButcherTableau Euler { get; } = new(1, [[]], [1.0]);

    /// <summary>Heun's method, of order 2: the trapezoid with a step of Euler's as its end.</summary>
    public static ButcherTableau Heun { get; } = new(2, [[], [1.0]], [0.5, 0.5]);

    /// <summary>The classical method of Runge and Kutta, of order 4.</summary>
    public static ButcherTableau RungeKutta4 { get; } = new(
        4, [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0]);

    /// <summary>
    /// The method of Dormand and Prince 1980, of order 5 with an embedded one of order 4. Its last stage is the first of the next step.
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

    /// <summary>The number of stages, and of calls of the right-hand side.</summary>
    public int Stages => _stages.Length;

    /// <summary>b_i.</summary>
    public ReadOnlySpan<double> Weights => _weights;

    /// <summary>b_i less those of the embedded method; empty where there is none.</summary>
    public ReadOnlySpan<double> Error => _error;

    /// <summary>c_i.</summary>
    public ReadOnlySpan<double> Nodes => _nodes;

    /// <summary>a_ij of stage i.</summary>
    public ReadOnlySpan<double> Stage(int i) => _stages[i];
}
