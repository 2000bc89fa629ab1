using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Answers of networks that also say something about the variance: [B, 2C, ...] to an x_t of [B, C, ...], the prediction first.
/// </summary>
internal static class VarianceChannels
{
    /// <summary>[B, C, ...] the prediction: a view of the answer, or the answer itself where it is no more than that.</summary>
    public static Tensor Prediction(Tensor answer, Tensor xt) => Are(answer, xt) ? answer.narrow(1, 0, xt.shape[1]) : answer;

    /// <summary>An answer whose prediction is changed, and what it says about the variance kept.</summary>
    /// <param name="answer">[B, C, ...] or [B, 2C, ...].</param>
    /// <param name="xt">[B, C, ...] what the network was given.</param>
    /// <param name="change">From [B, C, ...] to a new tensor of that shape.</param>
    public static Tensor Keep(Tensor answer, Tensor xt, Func<Tensor, Tensor> change)
    {
        var changed = change(Prediction(answer, xt));
        return Are(answer, xt) ? cat([changed, answer.narrow(1, xt.shape[1], xt.shape[1])], 1) : changed;
    }

    private static bool Are(Tensor answer, Tensor xt)
        => xt.dim() > 1 && answer.dim() == xt.dim() && answer.shape[1] == 2 * xt.shape[1];
}
