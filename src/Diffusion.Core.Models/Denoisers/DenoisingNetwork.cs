using System.Diagnostics.CodeAnalysis;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The base class of the networks of this library, which compute a prediction from x_t, t and a condition. A network reads the tensors of
/// the condition that it was built for and ignores the others, so that a network without classes can be trained on labelled data. Samplers
/// throw for a condition that the network would ignore.
/// </summary>
/// <param name="name">The name of the module.</param>
public abstract class DenoisingNetwork(string name) : NamedModule<Tensor, Tensor, Condition?, Tensor>(name), ITrainableDenoiser
{
    nn.Module ITrainableDenoiser.Module => this;

    /// <summary>Calls <see cref="nn.Module{T1, T2, T3, TResult}.forward"/>.</summary>
    /// <param name="xt">[B, ...] noisy data, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point timesteps, in units of one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// A condition with the tensors that the network requires, with the same batch size and on the device of the weights, or
    /// <see langword="null"/> if it requires none.
    /// </param>
    /// <returns>[B, ...]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// A shape, type, device or label does not match; the message contains the expected and the actual one.
    /// </exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => call(xt, t, condition);

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(this);

    /// <summary>Returns the name of a part of a condition that the network ignores; <see langword="null"/> if that is not known.</summary>
    internal virtual string? UnusedPart(Condition condition) => null;
}

/// <summary>Checks of the inputs of networks, made before any native call.</summary>
internal static class DenoiserGuard
{
    /// <summary>Requires at least one sample, of the type and on the device of the weights.</summary>
    public static void Data(Tensor xt, Tensor weight)
    {
        if (xt.dtype != weight.dtype)
            throw new ArgumentException($"x_t must have the type of the weights, {weight.dtype}, got {xt.dtype}.", nameof(xt));
        SameDevice(xt, weight, nameof(xt));
        if (xt.shape[0] == 0)
            throw new ArgumentException($"x_t must contain at least one sample, got shape {Guard.Format(xt.shape)}.", nameof(xt));
    }

    /// <summary>Requires one time for each sample, in int64 or floating point.</summary>
    public static void Times(Tensor t, long batch)
    {
        Guard.Shape(t, [batch]);
        if (t.dtype != ScalarType.Int64 && !t.is_floating_point())
            throw new ArgumentException($"t must be Int64 or floating point, got {t.dtype}.", nameof(t));
    }

    /// <summary>
    /// Requires one int64 label for each sample. Values are checked only on the CPU, because reading them synchronizes with other
    /// devices.
    /// </summary>
    public static void Labels([NotNull] Tensor? labels, int classes, long batch, Tensor weight)
    {
        if (labels is null)
            throw new ArgumentException(
                Invariant($"This network has {classes} classes and needs a label for each sample, got none."), nameof(labels));
        Guard.Shape(labels, [batch]);
        if (labels.dtype != ScalarType.Int64)
            throw new ArgumentException($"Labels must be Int64, got {labels.dtype}.", nameof(labels));
        SameDevice(labels, weight, nameof(labels));
        if (labels.device_type != DeviceType.CPU)
            return;
        foreach (var label in labels.data<long>())
        {
            if (label < 0 || label >= classes)
                throw new ArgumentOutOfRangeException(
                    nameof(labels), label, Invariant($"Labels must lie in [0, {classes - 1}], got {label}."));
        }
    }

    /// <summary>Returns the name of a part of a condition that a network ignores; <see langword="null"/> if it reads all parts.</summary>
    /// <param name="condition">The condition.</param>
    /// <param name="labels">Whether the network reads labels.</param>
    /// <param name="vector">Whether it reads a vector.</param>
    public static string? UnusedPart(Condition condition, bool labels = false, bool vector = false) => condition switch
    {
        { Labels: not null } when !labels => nameof(Condition.Labels),
        { Vector: not null } when !vector => nameof(Condition.Vector),
        { EncoderHiddenStates: not null } => nameof(Condition.EncoderHiddenStates),
        _ => null,
    };

    /// <summary>Requires one vector for each sample.</summary>
    public static void Vector([NotNull] Tensor? vector, int width, long batch, Tensor weight)
    {
        if (vector is null)
            throw new ArgumentException(
                Invariant($"This network needs a vector of {width} numbers for each sample, got none."), nameof(vector));
        Guard.Shape(vector, [batch, width]);
        if (vector.dtype != weight.dtype)
            throw new ArgumentException(
                $"The vector must have the type of the weights, {weight.dtype}, got {vector.dtype}.", nameof(vector));
        SameDevice(vector, weight, nameof(vector));
    }

    /// <summary>Requires a tensor on the device of the weights.</summary>
    public static void SameDevice(Tensor tensor, Tensor weight, string name)
    {
        if (tensor.device_type != weight.device_type || tensor.device_index != weight.device_index)
            throw new ArgumentException($"{name} must be on the device of the weights, {weight.device}, got {tensor.device}.", name);
    }
}
