using System.Numerics;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Embeds times as sines and cosines of geometrically spaced frequencies, <c>w_i = 10000^(-i / (D/2 - shift))</c>, computed in double
/// precision. It has no parameters.
/// </summary>
/// <remarks>Source: Vaswani et al. 2017, section 3.5, as Ho et al. 2020 apply it to t.</remarks>
internal sealed class SinusoidalEmbedding : NamedModule<Tensor, Tensor>
{
    private const double MaxPeriod = 10_000;

    /// <summary>The largest and the smallest number of rows of a table of embeddings.</summary>
    private const int MostKept = 4096;
    private const int FewestKept = 1024;

    private readonly double[] _values;
    private readonly TensorCache<int> _frequencies = new();
    private readonly TensorCache<int> _tables = new();

    /// <summary>Creates an embedding of a given width.</summary>
    /// <param name="width">D, a positive even number.</param>
    /// <param name="frequencyShift">
    /// The shift, less than D/2. With 1, the lowest frequency is exactly 1/10000, as in Ho et al.; with 0, the default, it is slightly
    /// higher.
    /// </param>
    /// <exception cref="ArgumentException">The width is not a positive even number, or the shift is not less than D/2.</exception>
    public SinusoidalEmbedding(int width, double frequencyShift = 0)
        : base(nameof(SinusoidalEmbedding))
    {
        if (width < 2 || width % 2 != 0)
            throw new ArgumentException(
                Invariant($"The width of a sinusoidal embedding must be a positive even number, got {width}."), nameof(width));
        var half = width / 2;
        if (!(frequencyShift < half))
            throw new ArgumentException(
                Invariant($"The frequency shift must be less than half the width, {half}, got {frequencyShift}."), nameof(frequencyShift));
        ParameterBudget.Check(width);
        Width = width;
        _values = new double[half];
        for (var i = 0; i < half; i++)
            _values[i] = Math.Exp(-Math.Log(MaxPeriod) * i / (half - frequencyShift));
    }

    /// <summary>D, the width of the embedding.</summary>
    public int Width { get; }

    /// <summary>Whether the order is [cos, sin] instead of [sin, cos]. The default is <see langword="true"/>.</summary>
    public bool FlipSinToCos { get; init; } = true;

    /// <summary>Embeds each time.</summary>
    /// <param name="input">t, [B], integer or floating point, on any device.</param>
    /// <returns>[B, D] float64 on the device of t. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1]);
        if (RowsFor(input) is { } rows)
            return _tables.Get(rows, input.device, ScalarType.Float64, Table).index_select(0, input);
        return Compute(input);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _frequencies.Dispose();
            _tables.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>
    /// Returns the number of rows of a table that contains the times, or null if the embedding must be computed. Tables are used only
    /// on the CPU: on other devices, reading the times requires a synchronization, and a lookup is not faster than computing the
    /// sines.
    /// </summary>
    private static int? RowsFor(Tensor input)
    {
        if (input.dtype != ScalarType.Int64 || input.device_type != DeviceType.CPU || !input.is_contiguous() || input.numel() == 0)
            return null;
        var (least, most) = (long.MaxValue, long.MinValue);
        foreach (var time in MemoryMarshal.Cast<byte, long>(input.bytes))
            (least, most) = (Math.Min(least, time), Math.Max(most, time));
        GC.KeepAlive(input);
        return least < 0 || most >= MostKept ? null : (int)Math.Max(BitOperations.RoundUpToPowerOf2((uint)most + 1), FewestKept);
    }

    private Tensor Table(int rows)
    {
        using var times = Scalars.Arange(rows, ScalarType.Int64);
        return Compute(times);
    }

    private Tensor Compute(Tensor input)
    {
        using var scope = NewDisposeScope();
        var frequencies = _frequencies.Get(Width, input.device, ScalarType.Float64, _ => tensor(_values));
        var angles = input.to(ScalarType.Float64).unsqueeze(1).mul(frequencies);
        var (sin, cos) = (angles.sin(), angles.cos());
        return cat(FlipSinToCos ? [cos, sin] : [sin, cos], 1).MoveToOuterDisposeScope();
    }
}
