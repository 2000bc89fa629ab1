using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using TorchSharp;
using static TorchSharp.torch;

namespace Plots;

/// <summary>
/// A distribution whose best denoiser is known: three Gaussians on a line, w = (.5, .3, .2), m = (-1, .4, 1.2), s = (.5, .4, .3). With it a
/// solver's error is its own, and no network's.
/// </summary>
internal sealed class Mixture : IDisposable
{
    // Held while native code reads them, as docs/torchsharp.md explains.
    private static readonly Scalar _one = 1;
    private static readonly Scalar _two = 2;
    private static readonly Scalar _half = 0.5;

    private readonly Tensor _logWeights = tensor(new[] { Math.Log(0.5), Math.Log(0.3), Math.Log(0.2) });
    private readonly Tensor _means = tensor(new[] { -1.0, 0.4, 1.2 });
    private readonly Tensor _variances = tensor(new[] { 0.25, 0.16, 0.09 });

    public Mixture() => Denoiser = new DelegateDenoiser((xt, t) =>
    {
        Calls++;
        using var sigma = t.exp();
        return ExpectedData(xt, sigma);
    });

    /// <summary>x = x_0 + sigma eps up to sigma 10, with the time log sigma.</summary>
    public static EdmSchedule Schedule(double sigmaMin) => new(sigmaMin, sigmaMax: 10.0, timeScale: 1.0);

    /// <summary>E[x_0 | x_t], as the prediction of x_0.</summary>
    public DelegateDenoiser Denoiser { get; }

    /// <summary>How often it was asked.</summary>
    public int Calls { get; private set; }

    /// <summary>
    /// E[x_0 | x] under each Gaussian, <c>(m sigma^2 + s^2 x) / (s^2 + sigma^2)</c>, weighed by the probability of each given x.
    /// </summary>
    /// <param name="x">[B].</param>
    /// <param name="sigma">[B] or [1].</param>
    private Tensor ExpectedData(Tensor x, Tensor sigma)
    {
        using var scope = NewDisposeScope();
        var (at, noise) = (x.unsqueeze(1), sigma.pow(_two).unsqueeze(1));
        var spread = _variances.add(noise, _one);
        var logits = _logWeights - spread.log().mul(_half) - (at - _means).pow(_two).div(spread).mul(_half);
        var expected = (_means * noise).add(_variances * at, _one) / spread;
        return logits.softmax(1).mul(expected).sum(1L).MoveToOuterDisposeScope();
    }

    /// <summary>The probability flow dx / dlog sigma = x - E[x_0 | x], solved to rounding from sigma 10 down.</summary>
    public Tensor Solve(Tensor start, double sigmaMin)
        => new RungeKutta(ButcherTableau.RungeKutta4, steps: 2000).Integrate(
            (logSigma, x) =>
            {
                using var sigma = tensor(new[] { Math.Exp(logSigma) });
                using var expected = ExpectedData(x, sigma);
                return x - expected;
            },
            start,
            Math.Log(10.0),
            Math.Log(sigmaMin));

    public void Dispose()
    {
        _logWeights.Dispose();
        _means.Dispose();
        _variances.Dispose();
    }
}
