using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using MathNet.Numerics.LinearAlgebra;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The predictions at several levels, as values of a polynomial in lambda, and their weights in a step. A level that is equal to another,
/// or infinitely far away, contains no information about the slope and is omitted, which lowers the order.
/// </summary>
internal sealed class ExponentialNodes(AlgorithmType form, NoiseLevel origin)
{
    private readonly List<(double Offset, Tensor Value)> _nodes = [];

    /// <summary>The number of nodes, which is the order of the polynomial method.</summary>
    public int Count => _nodes.Count;

    /// <summary>
    /// Creates the nodes of an extrapolating step: the level at its start, and up to <paramref name="past"/> earlier levels, beginning with
    /// index <paramref name="first"/> of the history.
    /// </summary>
    public static ExponentialNodes Of(AlgorithmType form, ModelPrediction start, IReadOnlyList<PastStep> history, int first, int past)
    {
        var nodes = new ExponentialNodes(form, start.Level);
        nodes.Add(start);
        for (var i = first; i < Math.Min(first + past, history.Count); i++)
            nodes.Add(history[i].Prediction);
        return nodes;
    }

    /// <summary>Adds a node, unless its level is equal to that of another node or infinitely far away.</summary>
    public void Add(ModelPrediction evaluation)
    {
        var offset = ExponentialStep.Distance(origin, evaluation.Level);
        if (!double.IsFinite(offset) || _nodes.Exists(node => node.Offset == offset))
            return;
        _nodes.Add((offset, form.Of(evaluation)));
    }

    /// <summary>
    /// Returns the weights w for which <c>sum_i w_i p(offset_i)</c> is the functional with the given moments, for every polynomial p with
    /// as many coefficients as there are nodes.
    /// </summary>
    /// <param name="moments">The values of the functional at 1, s, s^2, ..., as many as there are nodes.</param>
    public double[] Weights(double[] moments)
    {
        var scale = _nodes.Max(node => Math.Abs(node.Offset));
        if (_nodes.Count == 1 || scale == 0.0)
            return moments;
        var powers = Matrix<double>.Build.Dense(Count, Count, (k, i) => Math.Pow(_nodes[i].Offset / scale, k));
        var right = Vector<double>.Build.Dense(Count, k => moments[k] / Math.Pow(scale, k));
        return powers.Solve(right).ToArray();
    }

    /// <summary>Computes a step from the origin of the nodes: <c>factor x + sum_i w_i value_i + deviation z</c>.</summary>
    /// <param name="step">The step, which contains the target level and the source of noise.</param>
    /// <param name="move">The exact part of the step.</param>
    /// <param name="x">[B, ...] the sample at the origin.</param>
    /// <param name="start">The prediction at the origin.</param>
    /// <param name="moments">Returns the moments of the method for a number of nodes.</param>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    public Tensor Advance(
        SolverStep step, ExponentialStep move, Tensor x, ModelPrediction start, Func<ExponentialStep, int, double[]> moments)
    {
        if (move.IsSingular)
            return new LinearPair(step.To.Alpha, step.To.Sigma).Apply(start.X0, start.Epsilon);
        var weights = Weights(moments(move, Count));
        var terms = new List<(double, Tensor)> { (move.Sample, x) };
        for (var i = 0; i < Count; i++)
            terms.Add((weights[i], _nodes[i].Value));
        using var noise = move.Deviation == 0.0 ? null : step.Noise.Draw(x, origin.NoiseToSignalRatio, step.To.NoiseToSignalRatio);
        if (noise is not null)
            terms.Add((move.Deviation, noise));
        return LinearCombination.Of(terms.ToArray());
    }

    /// <summary>
    /// Replaces these nodes with others in a completed step: subtracts the contribution of these nodes from its result, and adds that of
    /// the others.
    /// </summary>
    /// <param name="x">[B, ...] the sample at the end of the step.</param>
    /// <param name="move">The exact part of the step.</param>
    /// <param name="others">Nodes with the same origin.</param>
    /// <param name="moments">Returns the moments of the method for a number of nodes.</param>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    public Tensor Replace(Tensor x, ExponentialStep move, ExponentialNodes others, Func<ExponentialStep, int, double[]> moments)
    {
        var (here, there) = (Weights(moments(move, Count)), others.Weights(moments(move, others.Count)));
        var terms = new List<(double, Tensor)> { (1.0, x) };
        for (var i = 0; i < others.Count; i++)
        {
            var same = _nodes.FindIndex(node => node.Offset == others._nodes[i].Offset);
            terms.Add((there[i] - (same < 0 ? 0.0 : here[same]), others._nodes[i].Value));
        }

        for (var i = 0; i < Count; i++)
        {
            if (!others._nodes.Exists(node => node.Offset == _nodes[i].Offset))
                terms.Add((-here[i], _nodes[i].Value));
        }

        return LinearCombination.Of(terms.ToArray());
    }
}

/// <summary>
/// The phi functions of exponential integrators: <c>phi_0(z) = e^z</c> and <c>phi_k(z) = (phi_{k-1}(z) - 1 / (k-1)!) / z</c>, so that
/// <c>phi_k(0) = 1 / k!</c>.
/// </summary>
/// <remarks>Source: Hochbruck and Ostermann 2010, "Exponential integrators", eq. 2.10 and 2.11.</remarks>
internal static class PhiFunction
{
    // Within this radius the recursion would lose precision to cancellation; outside, the series converges slowly.
    private const double SeriesRadius = 2.0;

    /// <summary>Computes phi_k(z), accurate to all but the last few digits for every finite z.</summary>
    public static double Of(int k, double z)
    {
        if (Math.Abs(z) <= SeriesRadius)
            return Series(k, z);
        var (phi, factorial) = (Math.Exp(z), 1.0);
        for (var j = 1; j <= k; j++)
        {
            phi = (phi - (1.0 / factorial)) / z;
            factorial *= j;
        }

        return phi;
    }

    /// <summary>Computes k! for small k.</summary>
    public static double Factorial(int k) => k < 2 ? 1.0 : k * Factorial(k - 1);

    private static double Series(int k, double z)
    {
        var term = 1.0 / Factorial(k);
        var sum = 0.0;
        for (var j = 1; sum + term != sum; j++)
        {
            sum += term;
            term *= z / (k + j);
        }

        return sum;
    }
}
