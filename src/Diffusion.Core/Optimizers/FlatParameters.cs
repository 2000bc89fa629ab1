using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// All trainable parameters of a module in one buffer, and their gradients in another, so that the optimizer step, clipping and averaging
/// need only a few operators for any number of parameters. Each parameter becomes a view of the first buffer and accumulates its gradient
/// into a view of the second.
/// </summary>
/// <remarks>
/// Create it after the module is moved to its device and its weights are tied. A parameter that a step does not use has a gradient of
/// zero. The gaps that align the parameters contain zeros and remain zero. If the module computes in lower precision, its parameters,
/// except those of norms, are views of separate buffers in that precision: gradients are collected from these buffers, and weights are
/// copied to them.
/// </remarks>
internal sealed class FlatParameters : IDisposable
{
    /// <summary>
    /// The alignment of parameters in elements: 64 bytes of float32, the size of a cache line and of the widest vector register.
    /// </summary>
    internal const long Alignment = 16;

    /// <summary>
    /// The length of a row: buffers are padded to a multiple of it. The norm of a buffer is computed as the norm of the norms of its
    /// rows: in float32, the norm of ten million elements has an error of 4e-4 in one pass and 1e-7 with rows, at the same speed.
    /// </summary>
    private const long Row = 1024;

    private static readonly ConditionalWeakTable<Tensor, FlatParameters> Owners = [];

    private readonly nn.Module _module;
    private readonly (string Name, Parameter Parameter, bool Trains)[] _all;
    private readonly Parameter[] _trained;
    private readonly Tensor[] _gradients;
    private readonly Tensor _gradientRows;
    private readonly Tensor? _narrowValues;
    private readonly Tensor? _narrowGradients;
    private bool _disposed;

    /// <summary>Moves the parameters of a module into buffers.</summary>
    /// <param name="module">The module, on its device.</param>
    /// <param name="groups">The parameter groups. The default is <see langword="null"/>: none.</param>
    /// <param name="precision">
    /// The precision in which the module computes. The default is <see langword="null"/>: the type of its parameters.
    /// </param>
    /// <param name="channelsLast">Whether the weights of two-dimensional convolutions are stored in channels-last order.</param>
    /// <exception cref="ArgumentException">
    /// No parameter requires gradients, or they differ in type or device, or are not floating point.
    /// </exception>
    /// <exception cref="InvalidOperationException">A parameter already belongs to another trainer.</exception>
    public FlatParameters(
        nn.Module module, IReadOnlyList<ParameterGroup>? groups = null, Precision? precision = null, bool channelsLast = false)
    {
        ArgumentNullException.ThrowIfNull(module);
        _module = module;
        var before = Trained(module);
        Validate(before);
        (Device, Dtype) = (before[0].Parameter.device, before[0].Parameter.dtype);
        var (order, layout) = Arrange(before, groups ?? [], channelsLast);
        Layout = layout;

        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        Values = Layout.NewBuffer();
        Gradients = Layout.NewBuffer();
        _gradientRows = Gradients.view(-1, Row).DetachFromDisposeScope();
        for (var i = 0; i < order.Length; i++)
            FlatLayout.View(Values, Slices[i]).copy_(before[order[i]].Parameter);

        if (precision?.Narrow is { } narrow && narrow != Dtype)
        {
            precision.Convert(module);
            _narrowValues = Values.to(narrow).DetachFromDisposeScope();
            _narrowGradients = zeros_like(_narrowValues).DetachFromDisposeScope();
        }

        _all = [.. module.named_parameters().Select(p => (p.name, p.parameter, p.parameter.requires_grad))];
        var trained = Trained(module);
        _trained = [.. order.Select(i => trained[i].Parameter)];
        _gradients = new Tensor[_trained.Length];
        for (var i = 0; i < _trained.Length; i++)
        {
            var isNarrow = _narrowValues is not null && _trained[i].dtype == _narrowValues.dtype;
            _trained[i].set_(FlatLayout.View(isNarrow ? _narrowValues! : Values, Slices[i]));
            _gradients[i] = FlatLayout.View(isNarrow ? _narrowGradients! : Gradients, Slices[i]).DetachFromDisposeScope();
            Owners.Add(_trained[i], this);
        }

        ZeroGradients();
    }

    /// <summary>The layout of the parameters in the buffers.</summary>
    public FlatLayout Layout { get; }

    /// <summary>The position of each trained parameter.</summary>
    public IReadOnlyList<ParameterSlice> Slices => Layout.Slices;

    /// <summary>[N] the weights. Call <see cref="Publish"/> after changing them.</summary>
    public Tensor Values { get; }

    /// <summary>[N] the gradients, after a call of <see cref="CollectGradients"/> that follows the backward pass.</summary>
    public Tensor Gradients { get; }

    /// <summary>The device of the parameters.</summary>
    public Device Device { get; }

    /// <summary>The type of the weights, the gradients, the moments and the averages.</summary>
    public ScalarType Dtype { get; }

    /// <summary>Returns [] the 2-norm of all gradients, on the device. The caller must dispose it.</summary>
    public Tensor GradientNorm()
    {
        using var rows = _gradientRows.norm(1);
        return rows.norm();
    }

    /// <summary>
    /// Sets the gradients to zero and attaches them to the parameters again, because methods such as <c>Module.zero_grad</c> replace
    /// them.
    /// </summary>
    public void ZeroGradients()
    {
        Gradients.Fill_(0.0);
        _narrowGradients?.Fill_(0.0);
        for (var i = 0; i < _trained.Length; i++)
            _trained[i].grad = _gradients[i];
    }

    /// <summary>Adds the gradients that the backward pass computed in lower precision to <see cref="Gradients"/>.</summary>
    public void CollectGradients()
    {
        if (_narrowGradients is null)
            return;
        Gradients.Add_(_narrowGradients);
        _narrowGradients.Fill_(0.0);
    }

    /// <summary>Copies changed weights to the parameters of the module, if it computes in lower precision.</summary>
    public void Publish() => _narrowValues?.copy_(Values);

    /// <summary>
    /// Checks at low cost that no parameter was moved, frozen or unfrozen: a module that is moved disposes its parameters. A parameter
    /// that was added, or that replaced one that was not disposed, is detected by <see cref="EnsureAttached"/> only.
    /// </summary>
    /// <exception cref="InvalidOperationException">A parameter was moved, frozen or unfrozen.</exception>
    public void EnsureUnmoved()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (var (_, parameter, trains) in _all)
        {
            if (parameter.IsInvalid || parameter.requires_grad != trains)
                EnsureAttached();
        }
    }

    /// <summary>Checks that the parameters of the module are still those that are trained.</summary>
    /// <exception cref="InvalidOperationException">
    /// A parameter was replaced, added, removed, frozen or unfrozen, for example because the module was moved to another device.
    /// </exception>
    public void EnsureAttached()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var i = 0;
        foreach (var (name, parameter) in _module.named_parameters())
        {
            if (i == _all.Length || !ReferenceEquals(parameter, _all[i].Parameter))
                throw Detached(name, "was replaced or added");
            if (parameter.requires_grad != _all[i].Trains)
                throw Detached(name, _all[i].Trains ? "was frozen" : "was unfrozen");
            i++;
        }

        if (i < _all.Length)
            throw Detached(_all[i].Name, "was removed");
    }

    /// <summary>
    /// Disposes the buffers. The module keeps its weights, in their original type, and loses its gradients.
    /// </summary>
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

        if (_narrowValues is not null && !_trained.Any(parameter => parameter.IsInvalid))
            Widen(_narrowValues.dtype);
        foreach (var gradient in _gradients)
            gradient.Dispose();
        foreach (var buffer in (Tensor?[])[_gradientRows, Gradients, Values, _narrowValues, _narrowGradients])
            buffer?.Dispose();
    }

    /// <summary>Restores the weights of a module that computed in lower precision to their original type.</summary>
    private void Widen(ScalarType narrow)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        Precision.Restore(_module, narrow, Dtype);
        var parameters = _module.named_parameters().ToDictionary(p => p.name, p => p.parameter, StringComparer.Ordinal);
        foreach (var slice in Slices)
            parameters[slice.Name].copy_(FlatLayout.View(Values, slice));
    }

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;

    private static (string Name, Parameter Parameter)[] Trained(nn.Module module)
        => [.. module.named_parameters().Where(p => p.parameter.requires_grad).Select(p => (p.name, p.parameter))];

    /// <summary>Returns the parameters in the order of their groups, and within a group in the order of the module.</summary>
    private static (int[] Order, FlatLayout Layout) Arrange(
        (string Name, Parameter Parameter)[] trained, IReadOnlyList<ParameterGroup> groups, bool channelsLast)
    {
        var shapes = Array.ConvertAll(trained, p => p.Parameter.shape);
        var group = trained.Select((p, i) => groups.TakeWhile(g => !g.Matches(p.Name, shapes[i])).Count()).ToArray();
        int[] order = [.. Enumerable.Range(0, trained.Length).OrderBy(i => group[i])];
        var slices = new ParameterSlice[order.Length];
        var ranges = new List<ParameterRange>();
        var (total, begin) = (0L, 0L);
        for (var k = 0; k < order.Length; k++)
        {
            var i = order[k];
            var last = channelsLast && shapes[i].Length == 4;
            slices[k] = new ParameterSlice(trained[i].Name, total, trained[i].Parameter.numel(), shapes[i]) { ChannelsLast = last };
            total = RoundUp(total + slices[k].Count, Alignment);
            var isEnd = k == order.Length - 1;
            if (!isEnd && group[order[k + 1]] == group[i])
                continue;
            if (isEnd)
                total = RoundUp(total, Row);
            var settings = groups.ElementAtOrDefault(group[i]);
            ranges.Add(new ParameterRange(
                begin, total - begin, settings?.LearningRateScale ?? 1.0, settings?.WeightDecayScale ?? 1.0));
            begin = total;
        }

        var first = trained[0].Parameter;
        return (order, new FlatLayout(total, slices, ranges, first.dtype, first.device));
    }

    private static void Validate((string Name, Parameter Parameter)[] trained)
    {
        if (trained.Length == 0)
            throw new ArgumentException("The module must have at least one parameter that requires gradients, got none. Call RegisterComponents() at the end of its constructor, or "
                + "register_module for each layer; and do not freeze all parameters.", nameof(trained));
        var (firstName, first) = trained[0];
        foreach (var (name, parameter) in trained)
        {
            Guard.Floating(parameter, name);
            if (parameter.dtype != first.dtype || parameter.device.ToString() != first.device.ToString())
                throw new ArgumentException(
                    $"All parameters must have the same type and device; '{firstName}' is {first.dtype} on {first.device}, "
                    + $"'{name}' is {parameter.dtype} on {parameter.device}.",
                    nameof(trained));
            if (Owners.TryGetValue(parameter, out _))
                throw new InvalidOperationException($"Parameter '{name}' already belongs to another trainer; dispose that one first.");
        }
    }

    private static InvalidOperationException Detached(string name, string what) => new(
        $"Parameter '{name}' {what} after the trainer was constructed. Move, tie and freeze the module, then construct a new trainer.");
}
