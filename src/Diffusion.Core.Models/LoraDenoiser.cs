using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network seen through its adapter: what is trained, averaged, saved in checkpoints and counted are the parameters of the adapter.
/// </summary>
/// <param name="network">The adapted network. Its own training mode stays as it is, and so do its weights.</param>
/// <param name="adapter">An adapter of that network.</param>
public sealed class LoraDenoiser(ITrainableDenoiser network, LoraAdapter adapter) : ITrainableDenoiser
{
    private readonly ITrainableDenoiser _network = network ?? throw new ArgumentNullException(nameof(network));
    private readonly LoraAdapter _adapter = adapter ?? throw new ArgumentNullException(nameof(adapter));

    /// <summary>The adapter.</summary>
    public nn.Module Module => _adapter;

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => _network.Predict(xt, t, condition);

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new Scope(_network.BeginInference(), new EvaluationMode(_adapter));

    private sealed class Scope(IDisposable? network, EvaluationMode adapter) : IDisposable
    {
        public void Dispose()
        {
            adapter.Dispose();
            network?.Dispose();
        }
    }
}
