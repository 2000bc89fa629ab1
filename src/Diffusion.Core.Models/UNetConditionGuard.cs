using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What a U-Net checks of its condition before it touches native code.</summary>
internal static class UNetConditionGuard
{
    /// <summary>Requires what the options say the network is told.</summary>
    public static void Check(UNetOptions options, Condition? condition, Tensor xt)
    {
        var batch = xt.shape[0];
        if (options.Classes is { } classes)
            DenoiserGuard.Labels(condition?.Labels, classes, batch, xt);
        if (options.TimeVectorWidth is { } width && condition?.TimeVector is { } vector)
        {
            Guard.Shape(vector, [batch, width], "condition.TimeVector");
            Guard.SameType(xt, vector, secondName: "condition.TimeVector");
        }

        if (condition?.Sequence is { } sequence)
            CheckSequence(options, sequence, condition.SequenceMask, xt);
    }

    private static void CheckSequence(UNetOptions options, Tensor sequence, Tensor? mask, Tensor xt)
    {
        Guard.Shape(sequence, [xt.shape[0], -1, options.SequenceWidth ?? -1], "condition.Sequence");
        Guard.SameType(xt, sequence, secondName: "condition.Sequence");
        if (sequence.shape[1] == 0)
            throw new ArgumentException(
                $"condition.Sequence must hold at least one token, got shape {Guard.Format(sequence.shape)}.", nameof(sequence));
        if (mask is null)
            return;
        Guard.Shape(mask, [xt.shape[0], sequence.shape[1]], "condition.SequenceMask");
        if (mask.dtype != ScalarType.Bool)
            throw new ArgumentException($"condition.SequenceMask must be Bool, got {mask.dtype}.", nameof(mask));
        DenoiserGuard.SameDevice(mask, xt, "condition.SequenceMask");
    }
}
