using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What a <see cref="ClipTextEncoder"/> says about a batch of texts. Owns its tensors.</summary>
public sealed class ClipTextOutput : IDisposable
{
    /// <summary>[B, L, D] a state for each token, after the last norm: <c>last_hidden_state</c>.</summary>
    public required Tensor LastHiddenState { get; init; }

    /// <summary>[B, D] the state at the end of each text: <c>pooler_output</c>.</summary>
    public required Tensor Pooled { get; init; }

    /// <summary>[B, P] the projection of <see cref="Pooled"/>, <c>text_embeds</c>; null for an encoder without one.</summary>
    public Tensor? Projected { get; init; }

    /// <summary>
    /// [B, L, D] each: the embedded tokens and what every layer made of them, before the last norm. Empty unless asked for. The one before
    /// the last is what Stable Diffusion XL is told.
    /// </summary>
    public IReadOnlyList<Tensor> HiddenStates { get; init; } = [];

    /// <inheritdoc/>
    public void Dispose()
    {
        LastHiddenState.Dispose();
        Pooled.Dispose();
        Projected?.Dispose();
        foreach (var state in HiddenStates)
            state.Dispose();
    }
}
