using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>Functions that the losses share: adding noise to the data, calling the model, and means over samples.</summary>
internal static class Denoising
{
    /// <summary>Returns x_t and the output of the network for x_t, in the current dispose scope.</summary>
    public static (Tensor Xt, Tensor Output) Predict(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (model, x0, t, noise, condition) = context;
        ArgumentNullException.ThrowIfNull(model, nameof(context));
        var xt = model.Process.Sample(x0, t, noise);
        return (xt, model.Predict(xt, t, condition));
    }

    /// <summary>Returns [B, C, ...] the prediction in an output of the network, without the channels of a learned variance.</summary>
    public static Tensor Mean(LossContext context, Tensor output)
        => context.Model.LearnsVariance ? output.narrow(1, 0, context.X0.shape[1]) : output;

    /// <summary>Returns [B] the mean over all dimensions except the first.</summary>
    public static Tensor MeanOfSamples(Tensor values)
    {
        using var rows = values.reshape(values.shape[0], -1);
        return rows.mean([1L]);
    }

    /// <summary>Returns [B] the sum over all dimensions except the first.</summary>
    public static Tensor SumOfSamples(Tensor values)
    {
        using var rows = values.reshape(values.shape[0], -1);
        return rows.sum(1L);
    }
}
