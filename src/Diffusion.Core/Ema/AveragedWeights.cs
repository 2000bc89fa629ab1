using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The averaged weights of a network. Within the scope of <see cref="BeginInference"/>, the module has the weights of one average and is in
/// evaluation mode; afterwards, its weights and mode are restored. Buffers are not averaged.
/// </summary>
/// <remarks>
/// A module has one set of weights at a time. A training step within the scope therefore throws, and so does a scope within a training
/// step.
/// </remarks>
internal sealed class AveragedWeights(nn.Module module, OptimizerStep engine, Func<IDisposable?> beginInference) : IDisposable
{
    private readonly Lock _lock = new();
    private Tensor? _trainedWeights;
    private EvaluationMode? _evaluation;
    private int _inUse;
    private int _scopes;
    private bool _stepping;
    private bool _disposed;

    /// <summary>The device of the weights.</summary>
    public Device Device => engine.Parameters.Device;

    /// <summary>Returns the index of an average among those of the run.</summary>
    /// <exception cref="ArgumentException">The run has no average of this name.</exception>
    public int IndexOf(string name)
    {
        var names = engine.Averages.Select(average => average.Name).ToArray();
        var index = Array.IndexOf(names, name);
        return index >= 0
            ? index
            : throw new ArgumentException($"There is no average '{name}'; there are: {string.Join(", ", names)}.", nameof(name));
    }

    /// <summary>
    /// Returns the result of a function of the network with averaged weights. Within an inference scope, the gradient mode is not changed;
    /// otherwise gradients are disabled, because the weights are replaced before a backward pass could read them.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// The input requires gradients and no inference scope is open; or as for <see cref="BeginInference"/>.
    /// </exception>
    public T Use<T>(int average, Tensor input, Func<T> function)
    {
        bool isOpen;
        lock (_lock)
            isOpen = _scopes > 0;
        if (!isOpen && input.requires_grad && is_grad_enabled())
            throw new InvalidOperationException(
                "Gradients through averaged weights need a scope of BeginInference, which must be open until the backward pass has ended.");
        using var averaged = BeginInference(average);
        using var gradientsOff = isOpen ? null : no_grad();
        return function();
    }

    /// <summary>Gives the module the weights of an average and sets it to evaluation mode until the result is disposed.</summary>
    /// <exception cref="InvalidOperationException">
    /// A training step is running, another average is in use, or the parameters of the module were replaced.
    /// </exception>
    public IDisposable BeginInference(int average)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(Trainer));
            if (_stepping)
                throw new InvalidOperationException(
                    "The averaged weights cannot be used while a training step runs. "
                    + "Progress<T> reports on other threads; sample between steps.");
            if (_scopes > 0 && average != _inUse)
                throw new InvalidOperationException(
                    $"The average '{engine.Averages[average].Name}' cannot be used while '{engine.Averages[_inUse].Name}' is in use.");
            if (_scopes == 0)
                SwapIn(average);
            _scopes++;
            try
            {
                return new Scope(this, beginInference());
            }
            catch
            {
                End();
                throw;
            }
        }
    }

    /// <summary>Reserves the weights for training, reading or writing until the result is disposed.</summary>
    /// <exception cref="InvalidOperationException">
    /// The averaged weights are in use, the weights are already reserved, or the parameters of the module were replaced.
    /// </exception>
    /// <param name="purpose">The purpose, for messages, such as "save".</param>
    /// <param name="isStep">
    /// Whether the purpose is a training step. A step also requires that no inference scope over the network is open, and checks the
    /// parameters of the module with <see cref="FlatParameters.EnsureUnmoved"/>, which is faster.
    /// </param>
    public IDisposable Claim(string purpose, bool isStep = false)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(Trainer));
            if (_scopes > 0)
                throw new InvalidOperationException(
                    Invariant($"The trainer cannot {purpose} while its averaged weights are in use; dispose the scope of ")
                    + "Ema.BeginInference first.");
            if (_stepping)
                throw new InvalidOperationException(Invariant($"The trainer cannot {purpose} within a training step or a save."));
            if (isStep && EvaluationMode.IsOpen(module))
                throw new InvalidOperationException(
                    Invariant($"The trainer cannot {purpose} while an inference scope over the network is open; dispose it first."));
            if (isStep)
                engine.Parameters.EnsureUnmoved();
            else
                engine.Parameters.EnsureAttached();
            _stepping = true;
            return new Claimed(this);
        }
    }

    /// <summary>Restores the trained weights, even if scopes are open.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            SwapOut();
            _disposed = true;
        }
    }

    private void SwapIn(int average)
    {
        engine.Parameters.EnsureAttached();
        if (EvaluationMode.IsOpen(module))
            throw new InvalidOperationException(
                "The averaged weights cannot be used while an inference scope over the network uses its trained weights; "
                + "dispose that scope first.");
        using var gradientsOff = no_grad();
        _trainedWeights = engine.Parameters.Values.clone().DetachFromDisposeScope();
        Publish(engine.Averages[average].Values);
        _evaluation = new EvaluationMode(module);
        _inUse = average;
    }

    private void SwapOut()
    {
        if (_trainedWeights is null)
            return;
        using var gradientsOff = no_grad();
        Publish(_trainedWeights);
        _trainedWeights.Dispose();
        _trainedWeights = null;
        _evaluation?.Dispose();
        _evaluation = null;
    }

    private void Publish(Tensor weights)
    {
        engine.Parameters.Values.copy_(weights);
        engine.Parameters.Publish();
    }

    private void End()
    {
        lock (_lock)
        {
            if (!_disposed && --_scopes == 0)
                SwapOut();
        }
    }

    private void Release()
    {
        lock (_lock)
            _stepping = false;
    }

    private sealed class Scope(AveragedWeights owner, IDisposable? inner) : IDisposable
    {
        private AveragedWeights? _owner = owner;

        public void Dispose()
        {
            if (_owner is null)
                return;
            inner?.Dispose();
            _owner.End();
            _owner = null;
        }
    }

    private sealed class Claimed(AveragedWeights owner) : IDisposable
    {
        public void Dispose() => owner.Release();
    }
}

/// <summary>A denoiser that predicts with averaged weights, for samplers.</summary>
internal sealed class AveragedDenoiser(IDenoiser model, AveragedWeights weights, int average) : DelegatingDenoiser(model)
{
    /// <inheritdoc/>
    public override Device? Device => weights.Device;

    /// <inheritdoc/>
    public override bool IsTransparent => true;

    /// <inheritdoc/>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        => weights.Use(average, xt, () => Inner.Predict(xt, t, condition));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public override IDisposable BeginInference() => weights.BeginInference(average);
}

/// <summary>An autoencoder that encodes and decodes with averaged weights.</summary>
internal sealed class AveragedAutoencoder(ITrainableAutoencoder model, AveragedWeights weights, int average) : IAutoencoder
{
    /// <inheritdoc/>
    public LatentScaling? Scaling => model.Scaling;

    /// <inheritdoc/>
    public Device? Device => weights.Device;

    /// <inheritdoc/>
    public ILatentDistribution Encode(Tensor x) => weights.Use(average, x, () => model.Encode(x));

    /// <inheritdoc/>
    public Tensor Decode(Tensor z) => weights.Use(average, z, () => model.Decode(z));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public IDisposable BeginInference() => weights.BeginInference(average);
}

/// <summary>One moving average of the weights.</summary>
/// <param name="Name">The name of the average, unique within a run.</param>
/// <param name="Values">[N] the averaged weights.</param>
/// <param name="Decay">The decay of the average.</param>
internal sealed record EmaWeights(string Name, Tensor Values, EmaDecay Decay);
