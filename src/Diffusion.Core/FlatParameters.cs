using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// All trainable parameters of a module in one buffer, and their gradients in another, so that an optimizer, clipping and averaging
/// are a handful of operators however many parameters there are. Each parameter becomes a view of the first buffer and accumulates
/// its gradient into a view of the second.
/// </summary>
/// <remarks>
/// To be made once the module is on its device and its weights are tied. A parameter that a step does not use has a gradient of zero.
/// The gaps that align each parameter hold zeros and stay zero.
/// </remarks>
internal sealed class FlatParameters : IDisposable
{
    /// <summary>Elements to which each parameter is aligned: 64 bytes of float32, a cache line and the widest vector register.</summary>
    private const long Alignment = 16;

    /// <summary>
    /// Elements to which a buffer is padded. The norm is taken of rows of this length and then of their norms: in float32, the norm
    /// of ten million elements in one sweep is off by 4e-4, in rows by 1e-7, at the same speed.
    /// </summary>
    private const long Row = 1024;

    private static readonly ConditionalWeakTable<Tensor, FlatParameters> Owners = [];

    private readonly nn.Module _module;
    private readonly (string Name, Parameter Parameter, bool Trains)[] _all;
    private readonly Parameter[] _trained;
    private readonly Tensor[] _gradients;
    private readonly Tensor _gradientRows;
    private bool _disposed;

    /// <summary>Takes the parameters of a module over.</summary>
    /// <exception cref="ArgumentException">
    /// No parameter requires gradients, or they differ in type or device, or are not floating point.
    /// </exception>
    /// <exception cref="InvalidOperationException">A parameter already belongs to another trainer.</exception>
    public FlatParameters(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        _module = module;
        _all = [.. module.named_parameters().Select(p => (p.name, p.parameter, p.parameter.requires_grad))];
        var trained = _all.Where(p => p.Trains).ToArray();
        Validate(trained);

        var slices = new FlatSlice[trained.Length];
        var total = 0L;
        for (var i = 0; i < trained.Length; i++)
        {
            var (name, parameter, _) = trained[i];
            slices[i] = new FlatSlice(name, total, parameter.numel(), parameter.shape);
            total = RoundUp(total + slices[i].Count, Alignment);
        }

        Slices = slices;
        _trained = [.. trained.Select(p => p.Parameter)];
        Device = _trained[0].device;
        Dtype = _trained[0].dtype;
        total = RoundUp(total, Row);
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        Values = NewBuffer(total);
        Gradients = NewBuffer(total);
        _gradientRows = Gradients.view(-1, Row).DetachFromDisposeScope();
        _gradients = new Tensor[trained.Length];
        for (var i = 0; i < trained.Length; i++)
        {
            var view = View(Values, slices[i]);
            view.copy_(_trained[i]);
            _trained[i].set_(view);
            _gradients[i] = View(Gradients, slices[i]).DetachFromDisposeScope();
            Owners.Add(_trained[i], this);
        }

        ZeroGradients();
    }

    /// <summary>Where each trained parameter lies, in the order of the module.</summary>
    public IReadOnlyList<FlatSlice> Slices { get; }

    /// <summary>[N] the weights; writing to it changes the module.</summary>
    public Tensor Values { get; }

    /// <summary>[N] the gradients; backward adds to it.</summary>
    public Tensor Gradients { get; }

    /// <summary>Where the parameters are.</summary>
    public Device Device { get; }

    /// <summary>The type of the parameters.</summary>
    public ScalarType Dtype { get; }

    /// <summary>A zeroed buffer of the length, type and device of <see cref="Values"/>, outside any dispose scope; the caller's.</summary>
    public Tensor NewBuffer() => NewBuffer(Values.numel());

    /// <summary>The part of such a buffer that belongs to one parameter, in its shape; the caller's.</summary>
    public static Tensor View(Tensor buffer, FlatSlice slice)
    {
        using var part = buffer.narrow(0, slice.Offset, slice.Count);
        return part.view(slice.Shape);
    }

    /// <summary>[] the 2-norm of all gradients together, on the device; the caller's.</summary>
    public Tensor GradientNorm()
    {
        using var rows = _gradientRows.norm(1);
        return rows.norm();
    }

    /// <summary>Zeroes the gradients, and puts them back where anything replaced them, as <c>Module.zero_grad</c> does.</summary>
    public void ZeroGradients()
    {
        Gradients.fill_(0.0);
        for (var i = 0; i < _trained.Length; i++)
            _trained[i].grad = _gradients[i];
    }

    /// <summary>Makes sure that the module still computes with the parameters that are trained here.</summary>
    /// <exception cref="InvalidOperationException">
    /// A parameter was replaced, added, removed, frozen or unfrozen, as by moving the module to another device.
    /// </exception>
    public void EnsureAttached()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var i = 0;
        foreach (var (name, parameter) in _module.named_parameters())
        {
            if (i == _all.Length || !ReferenceEquals(parameter, _all[i].Parameter))
                throw Detached(name, "is not the one it was");
            if (parameter.requires_grad != _all[i].Trains)
                throw Detached(name, _all[i].Trains ? "was frozen" : "was unfrozen");
            i++;
        }

        if (i < _all.Length)
            throw Detached(_all[i].Name, "is gone");
    }

    /// <summary>Frees the buffers. The module keeps its weights and loses its gradients.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (var parameter in _trained)
        {
            Owners.Remove(parameter);
            if (!parameter.IsInvalid)
                parameter.grad = null;
        }

        foreach (var gradient in _gradients)
            gradient.Dispose();
        _gradientRows.Dispose();
        Gradients.Dispose();
        Values.Dispose();
    }

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;

    private static void Validate((string Name, Parameter Parameter, bool Trains)[] trained)
    {
        if (trained.Length == 0)
            throw new ArgumentException("The module must have at least one parameter that requires gradients, got none.", nameof(trained));
        var (firstName, first, _) = trained[0];
        foreach (var (name, parameter, _) in trained)
        {
            Guard.Floating(parameter, name);
            if (parameter.dtype != first.dtype || parameter.device.ToString() != first.device.ToString())
                throw new ArgumentException(
                    $"All parameters must have one type and device; '{firstName}' is {first.dtype} on {first.device}, "
                    + $"'{name}' is {parameter.dtype} on {parameter.device}.",
                    nameof(trained));
            if (Owners.TryGetValue(parameter, out _))
                throw new InvalidOperationException($"Parameter '{name}' already belongs to another trainer; dispose that one first.");
        }
    }

    private static InvalidOperationException Detached(string name, string what) => new(
        $"Parameter '{name}' {what} since the trainer was made. Move, tie and freeze the module first, then make a new trainer.");

    private Tensor NewBuffer(long length) => zeros([length], dtype: Dtype, device: Device).DetachFromDisposeScope();
}
