using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A learned vector for every place of a grid of patches, and for tokens that stand before it.</summary>
/// <remarks>
/// Source: Dosovitskiy et al. 2021, eq. 1; for a grid of another size the vectors are interpolated linearly (section 3.2). State:
/// <c>weight</c>, [1, extra + rows * columns, D], drawn from N(0, 0.02^2) at first.
/// </remarks>
public sealed class LearnedPositions : nn.Module<Tensor, Tensor>
{
    private const string WeightName = "weight";

    private readonly int _extra;
    private readonly int _side;
    private readonly int _width;

    /// <summary>Positions of a square grid.</summary>
    /// <param name="width">D, the width of a token.</param>
    /// <param name="side">Patches on a side.</param>
    /// <param name="extra">Tokens before those of the grid.</param>
    /// <exception cref="ArgumentException">A size is not positive, or there are fewer than no extra tokens.</exception>
    public LearnedPositions(int width, int side, int extra = 0)
        : base(nameof(LearnedPositions))
    {
        (_width, _side) = (Guard.Positive(width), Guard.Positive(side));
        _extra = Guard.InRange(extra, 0, int.MaxValue);
        using var table = randn([1L, extra + ((long)side * side), width], dtype: ScalarType.Float32);
        register_parameter(WeightName, (Parameter)nn.Parameter(table.Mul(0.02)).DetachFromDisposeScope());
    }

    /// <summary>Tokens with their positions added, those of the grid it was made for.</summary>
    /// <param name="input">[B, extra + side * side, D].</param>
    /// <returns>[B, extra + side * side, D]; the caller's.</returns>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public override Tensor forward(Tensor input) => forward(input, _side, _side);

    /// <summary>Tokens with their positions added.</summary>
    /// <param name="input">[B, extra + rows * columns, D].</param>
    /// <param name="rows">Patches down.</param>
    /// <param name="columns">Patches across.</param>
    /// <returns>[B, extra + rows * columns, D]; the caller's.</returns>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public Tensor forward(Tensor input, long rows, long columns)
    {
        Guard.Shape(input, [-1, _extra + (rows * columns), _width]);
        using var scope = NewDisposeScope();
        var weight = get_parameter(WeightName)!;
        return input.Add(rows == _side && columns == _side ? weight : Resized(weight, rows, columns)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }

    private Tensor Resized(Tensor weight, long rows, long columns)
    {
        var grid = weight.narrow(1, _extra, (long)_side * _side).transpose(1, 2).reshape(1, _width, _side, _side);

        // Not every device interpolates in half precision.
        var exact = weight.dtype == ScalarType.Float64 ? grid : grid.to(ScalarType.Float32);
        var resized = nn.functional.interpolate(exact, size: [rows, columns], mode: InterpolationMode.Bilinear, align_corners: false)
            .to(weight.dtype).flatten(2).transpose(1, 2);
        return _extra == 0 ? resized : cat([weight.narrow(1, 0, _extra), resized], 1);
    }
}
