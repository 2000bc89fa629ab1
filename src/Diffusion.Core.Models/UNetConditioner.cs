using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What gives an embedding of a condition.</summary>
/// <param name="Module">What is learned of it, which the network registers; null where nothing is.</param>
/// <param name="Embed">
/// From the condition and a tensor of the batch size, type and device that the answer must have, to a new tensor [B, width]. Refuses a
/// condition that lacks what is needed with an <see cref="ArgumentException"/>.
/// </param>
public sealed record UNetConditioner(nn.Module? Module, Func<Condition?, Tensor, Tensor> Embed);
