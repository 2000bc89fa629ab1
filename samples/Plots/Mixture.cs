using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using TorchSharp;
using static TorchSharp.torch;

namespace Plots;

/// <summary>
/// A one-dimensional mixture of three Gaussians with weights w = (.5, .3, .2), means m = (-1, .4, 1.2) and standard deviations
/// s = (.5, .4, .3). Its optimal denoiser is known in closed form, so measured errors are those of the solver alone.
/// </summary>
internal sealed class Mixture : IDisposable
{
    // Kept alive while native code reads them; see docs/torchsharp.md, "Numbers passed to operators".
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

    /// <summary>Creates the schedule x_t = x_0 + sigma eps from a minimum sigma to sigma 10, with the time log sigma.</summary>
    public static EdmSchedule Schedule(double sigmaMin) => new(sigmaMin, sigmaMax: 10.0, timeScale: 1.0);

    /// <summary>The optimal denoiser, which predicts E[x_0 | x_t].</summary>
    public DelegateDenoiser Denoiser { get; }

    /// <summary>The number of calls of <see cref="Denoiser"/>.</summary>
    public int Calls { get; private set; }

    /// <summary>
    /// Computes E[x_0 | x]: the expectation under each Gaussian, <c>(m sigma^2 + s^2 x) / (s^2 + sigma^2)</c>, weighted by the probability
    /// of that Gaussian given x.
    /// </summary>
    /// <param name="x">[B] the noisy samples.</param>
    /// <param name="sigma">[B] or [1] the noise levels.</param>
    /// <returns>[B]. The caller must dispose the returned tensor.</returns>
    private Tensor ExpectedData(Tensor x, Tensor sigma)
    {
        using var scope = NewDisposeScope();
        var (at, noise) = (x.unsqueeze(1), sigma.pow(_two).unsqueeze(1));
        var spread = _variances.add(noise, _one);
        var logits = _logWeights - spread.log().mul(_half) - (at - _means).pow(_two).div(spread).mul(_half);
        var expected = (_means * noise).add(_variances * at, _one) / spread;
        return logits.softmax(1).mul(expected).sum(1L).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Solves the probability flow dx / dlog sigma = x - E[x_0 | x] from sigma 10 to a minimum sigma, with an error of the order of
    /// rounding.
    /// </summary>
    /// <returns>[B]. The caller must dispose the returned tensor.</returns>
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
