using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Ways from one sample to another, through the noise that they come from.</summary>
public static class Interpolation
{
    /// <summary>
    /// Spherical interpolation, sample by sample: <c>sin((1 - w) theta) / sin(theta) a + sin(w theta) / sin(theta) b</c>, with theta the
    /// angle between the two. Between two draws of Gaussian noise it keeps their length, which a straight line does not.
    /// </summary>
    /// <param name="first">[B, ...] where w is 0.</param>
    /// <param name="second">The shape and type of <paramref name="first"/>, where w is 1.</param>
    /// <param name="weight">w, from 0 to 1.</param>
    /// <returns>The shape of <paramref name="first"/>; the caller's. Where the two point the same way, a straight line.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or the weight lies outside [0, 1].</exception>
    /// <remarks>Source: Shoemake 1985; Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", appendix D.5.</remarks>
    public static Tensor Spherical(Tensor first, Tensor second, double weight)
    {
        Guard.SameShape(first, second);
        Guard.SameType(first, second);
        Guard.Floating(first);
        Guard.InRange(weight, 0.0, 1.0);
        if (first.dim() == 0)
            throw new ArgumentException("Samples must have a batch dimension, got a scalar.", nameof(first));
        using var scope = NewDisposeScope();
        var (a, b) = (first.reshape(first.shape[0], -1), second.reshape(second.shape[0], -1));
        var lengths = a.mul(a).sum(1L).mul_(b.mul(b).sum(1L)).sqrt().ClampMin(1e-30);
        var cosine = a.mul(b).sum(1L).div_(lengths).Clamp(-1.0, 1.0);

        // Of a nearly straight way the sines lose their digits, and a straight line is as good.
        var straight = cosine.abs().Gt(1.0 - 1e-6);
        var angle = cosine.MaskedFill(straight, 0.5).acos();
        var sine = angle.sin();
        var weightOfFirst = where(straight, angle.FullLike(1.0 - weight), angle.Mul(1.0 - weight).sin().div_(sine));
        var weightOfSecond = where(straight, angle.FullLike(weight), angle.Mul(weight).sin().div_(sine));
        return a.mul(weightOfFirst.unsqueeze(1)).Add_(b.mul(weightOfSecond.unsqueeze(1))).reshape(first.shape).MoveToOuterDisposeScope();
    }
}
