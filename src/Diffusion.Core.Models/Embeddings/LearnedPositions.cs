using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A learned vector for every position of a grid of patches, and for tokens that precede the patches.</summary>
/// <remarks>
/// Source: Dosovitskiy et al. 2021, eq. 1; for a grid of another size the vectors are interpolated bilinearly (section 3.2). State:
/// <c>weight</c>, [1, extra + side * side, D], initialized from N(0, 0.02^2).
/// </remarks>
internal sealed class LearnedPositions : NamedModule<Tensor, Tensor>
{
    private const string WeightName = "weight";

    private readonly int _extra;
    private readonly int _side;
    private readonly int _width;

    /// <summary>Creates the positions of a square grid.</summary>
    /// <param name="width">D, the width of a token.</param>
    /// <param name="side">The number of patches on a side of the grid.</param>
    /// <param name="extra">The number of tokens that precede the patches. The default is 0.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the number of extra tokens is negative.</exception>
    public LearnedPositions(int width, int side, int extra = 0)
        : base(nameof(LearnedPositions))
    {
        (_width, _side) = (Guard.Positive(width), Guard.Positive(side));
        _extra = Guard.InRange(extra, 0, int.MaxValue);
        var tokens = extra + ((long)side * side);
        ParameterBudget.Spend(tokens, width);
        using var table = randn([1L, tokens, width], dtype: ScalarType.Float32);
        register_parameter(WeightName, (Parameter)nn.Parameter(table.Mul(0.02)).DetachFromDisposeScope());
    }

    /// <summary>Adds the positions to the tokens of a grid of the size given to the constructor.</summary>
    /// <param name="input">[B, extra + side * side, D].</param>
    /// <returns>[B, extra + side * side, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public override Tensor forward(Tensor input) => forward(input, _side, _side);

    /// <summary>Adds the positions to tokens.</summary>
    /// <param name="input">[B, extra + rows * columns, D].</param>
    /// <param name="rows">The number of rows of patches.</param>
    /// <param name="columns">The number of columns of patches.</param>
    /// <returns>[B, extra + rows * columns, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public Tensor forward(Tensor input, long rows, long columns)
    {
        Guard.Shape(input, [-1, _extra + (rows * columns), _width]);
        using var scope = NewDisposeScope();
        var weight = get_parameter(WeightName)!;
        return input.Add(rows == _side && columns == _side ? weight : Resized(weight, rows, columns)).MoveToOuterDisposeScope();
    }

    private Tensor Resized(Tensor weight, long rows, long columns)
    {
        var grid = weight.narrow(1, _extra, (long)_side * _side).transpose(1, 2).reshape(1, _width, _side, _side);

        // Not every device supports interpolation in half precision.
        var exact = weight.dtype == ScalarType.Float64 ? grid : grid.to(ScalarType.Float32);
        var resized = nn.functional.interpolate(exact, size: [rows, columns], mode: InterpolationMode.Bilinear, align_corners: false)
            .to(weight.dtype).flatten(2).transpose(1, 2);
        return _extra == 0 ? resized : cat([weight.narrow(1, 0, _extra), resized], 1);
    }
}
