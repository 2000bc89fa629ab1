using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The running mean of the squared gradients of one parameter: of rows and columns for a matrix, of elements otherwise.</summary>
internal sealed class AdafactorMoment : IDisposable
{
    private readonly double _epsilon;
    private readonly long[] _rest;
    private readonly Tensor _rows;
    private readonly Tensor? _columns;

    /// <summary>No squares yet.</summary>
    public AdafactorMoment(FlatLayout layout, ParameterSlice slice, double epsilon)
    {
        (Slice, Range, _epsilon) = (slice, layout.RangeOf(slice), epsilon);
        _rest = [.. Enumerable.Range(1, Math.Max(slice.Shape.Count - 1, 0)).Select(dim => (long)dim)];
        Tensor New(IEnumerable<long> shape) => zeros([.. shape], dtype: layout.Dtype, device: layout.Device).DetachFromDisposeScope();
        if (_rest.Length == 0)
        {
            _rows = New(slice.Shape);
            return;
        }

        _rows = New([slice.Shape[0], .. _rest.Select(_ => 1L)]);
        _columns = New(slice.Shape.Skip(1));
    }

    /// <summary>The parameter.</summary>
    public ParameterSlice Slice { get; }

    /// <summary>Its group.</summary>
    public ParameterRange Range { get; }

    /// <summary>The state by name, as Hugging Face's libraries name it.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> Tensors => _columns is null
        ? [new($"exp_avg_sq.{Slice.Name}", _rows)]
        : [new($"exp_avg_sq_row.{Slice.Name}", _rows), new($"exp_avg_sq_col.{Slice.Name}", _columns)];

    /// <summary>Takes a gradient in, and divides it by the root of the moment.</summary>
    /// <param name="gradient">Of the parameter's shape; changed in place.</param>
    /// <param name="share">[] float64: how much of the moment is new.</param>
    public void Normalise(Tensor gradient, Tensor share)
    {
        using var scope = NewDisposeScope();
        var squares = gradient.mul(gradient).Add_(_epsilon);
        if (_columns is null)
        {
            FlatLayout.Blend(_rows, squares, share);
            gradient.mul_(_rows.ClampMin(_epsilon).rsqrt());
            return;
        }

        FlatLayout.Blend(_rows, squares.mean(_rest, keepdim: true), share);
        FlatLayout.Blend(_columns, squares.mean([0L]), share);

        // Before the first step both are zero, and so is the gradient of one that is skipped.
        var rows = _rows.ClampMin(_epsilon);
        gradient.mul_(rows.div(rows.mean()).rsqrt()).mul_(_columns.ClampMin(_epsilon).rsqrt());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows.Dispose();
        _columns?.Dispose();
    }
}
