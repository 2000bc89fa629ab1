using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>The values of operators that work element by element.</summary>
public class ElementwiseTests
{
    private static readonly double[] Points = [-3.0, -1.25, -0.5, 0.25, 0.75, 2.0];

    public static TheoryData<string> Functions => [.. All.Keys];

    private static readonly Dictionary<string, (Func<Tensor, Tensor> Torch, Func<double, double> Exact)> All = new()
    {
        ["neg"] = (x => x.neg(), x => -x),
        ["abs"] = (x => x.abs(), Math.Abs),
        ["square"] = (x => x.square(), x => x * x),
        ["pow"] = (x => x.pow(3), x => x * x * x),
        ["exp"] = (x => x.exp(), Math.Exp),
        ["log"] = (x => x.abs().log(), x => Math.Log(Math.Abs(x))),
        ["sqrt"] = (x => x.abs().sqrt(), x => Math.Sqrt(Math.Abs(x))),
        ["rsqrt"] = (x => x.abs().rsqrt(), x => 1.0 / Math.Sqrt(Math.Abs(x))),
        ["reciprocal"] = (x => x.reciprocal(), x => 1.0 / x),
        ["sin"] = (x => x.sin(), Math.Sin),
        ["cos"] = (x => x.cos(), Math.Cos),
        ["acos"] = (x => x.tanh().acos(), value => Math.Acos(Math.Tanh(value))),
        ["tanh"] = (x => x.tanh(), Math.Tanh),
        ["sigmoid"] = (x => x.sigmoid(), x => 1.0 / (1.0 + Math.Exp(-x))),
        ["silu"] = (x => x.silu(), x => x / (1.0 + Math.Exp(-x))),
        ["relu"] = (x => x.relu(), x => Math.Max(x, 0.0)),
        ["floor"] = (x => x.floor(), Math.Floor),
        ["round"] = (x => x.round(), x => Math.Round(x, MidpointRounding.ToEven)),
        ["clamp"] = (x => x.clamp(-1, 1), x => Math.Clamp(x, -1.0, 1.0)),
        ["clamp below"] = (x => x.clamp(min: -1), x => Math.Max(x, -1.0)),
        ["clamp above"] = (x => x.clamp(max: 1), x => Math.Min(x, 1.0)),
        ["clamp_min"] = (x => x.clamp_min(-1), x => Math.Max(x, -1.0)),
        ["remainder"] = (x => x.remainder(2), x => x - (2 * Math.Floor(x / 2))),
        ["add a number"] = (x => x.add(1.5), x => x + 1.5),
        ["subtract a number"] = (x => x.sub(1.5), x => x - 1.5),
        ["multiply by a number"] = (x => x.mul(1.5), x => x * 1.5),
        ["divide by a number"] = (x => x.div(1.5), x => x / 1.5),
    };

    [Theory]
    [MemberData(nameof(Functions))]
    public void Values_in_double_precision(string name)
    {
        using var scope = NewDisposeScope();
        var (torch, exact) = All[name];
        var x = Values.Double([2, 3], Points);

        var y = torch(x);

        y.dtype.Should().Be(ScalarType.Float64);
        y.ShouldHaveShape(2, 3);
        y.ShouldBeNear(1e-14, [.. Points.Select(exact)]);
        x.ShouldHold(Points);
    }

    [Theory]
    [MemberData(nameof(Functions))]
    public void Values_in_single_precision(string name)
    {
        using var scope = NewDisposeScope();
        var (torch, exact) = All[name];

        var y = torch(Values.Float([6], Points));

        y.dtype.Should().Be(ScalarType.Float32);
        y.ShouldBeNear(2e-6, [.. Points.Select(exact)]);
    }

    [Fact]
    public void Two_tensors_broadcast_from_the_right()
    {
        using var scope = NewDisposeScope();
        var column = Values.Float([2, 1], 1, 2);
        var row = Values.Float([3], 10, 20, 30);

        column.add(row).ShouldHold(11, 21, 31, 12, 22, 32);
        row.sub(column).ShouldHold(9, 19, 29, 8, 18, 28);
        column.mul(row).ShouldHold(10, 20, 30, 20, 40, 60);
        row.div(column).ShouldHold(10, 20, 30, 5, 10, 15);
        column.maximum(row).ShouldHold(10, 20, 30, 10, 20, 30);
        column.minimum(row).ShouldHold(1, 1, 1, 2, 2, 2);
        column.add(row, alpha: 2).ShouldHold(21, 41, 61, 22, 42, 62);
        column.pow(Values.Float([2], 1, 2)).ShouldHold(1, 1, 2, 4);
    }

    [Fact]
    public void Operators_are_the_methods()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([2], 2, 4);
        var y = Values.Float([2], 1, 2);

        (x + y).ShouldHold(3, 6);
        (x - y).ShouldHold(1, 2);
        (x * y).ShouldHold(2, 8);
        (x / y).ShouldHold(2, 2);
        (-x).ShouldHold(-2, -4);
        (x + 1).ShouldHold(3, 5);
        (x - 1.0).ShouldHold(1, 3);
        (1.0 - x).ShouldHold(-1, -3);
        (2.0 * x).ShouldHold(4, 8);
        (x * 0.5).ShouldHold(1, 2);
        (x / 2.0).ShouldHold(1, 2);
        (1.0 / x).ShouldHold(0.5, 0.25);
    }

    [Fact]
    public void Comparisons_give_booleans()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([3], 1, 2, 3);
        var y = Values.Float([3], 2, 2, 2);

        x.eq(y).dtype.Should().Be(ScalarType.Bool);
        x.eq(y).ShouldHold(0, 1, 0);
        x.ne(y).ShouldHold(1, 0, 1);
        x.lt(y).ShouldHold(1, 0, 0);
        x.le(y).ShouldHold(1, 1, 0);
        x.gt(y).ShouldHold(0, 0, 1);
        x.ge(y).ShouldHold(0, 1, 1);
        x.eq(2).ShouldHold(0, 1, 0);
        x.ne(2).ShouldHold(1, 0, 1);
        x.gt(2).ShouldHold(0, 0, 1);
        x.lt(2).ShouldHold(1, 0, 0);
        x.ge(2).ShouldHold(0, 1, 1);
        x.le(2).ShouldHold(1, 1, 0);
    }

    [Fact]
    public void Booleans_combine()
    {
        using var scope = NewDisposeScope();
        var x = Values.Make(ScalarType.Bool, [4], 0, 0, 1, 1);
        var y = Values.Make(ScalarType.Bool, [4], 0, 1, 0, 1);

        x.logical_and(y).ShouldHold(0, 0, 0, 1);
        x.logical_not().ShouldHold(1, 1, 0, 0);
    }

    [Fact]
    public void Finite_and_not()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 1f, float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0f });

        x.isfinite().ShouldHold(1, 0, 0, 0, 1);
        x.isnan().ShouldHold(0, 1, 0, 0, 0);
        x.isfinite().all().item<bool>().Should().BeFalse();
        x.isfinite().any().item<bool>().Should().BeTrue();
        ones([2]).isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Where_chooses_and_broadcasts()
    {
        using var scope = NewDisposeScope();
        var mask = Values.Make(ScalarType.Bool, [2, 1], 1, 0);

        where(mask, Values.Float([2], 1, 2), Values.Float([2], 3, 4)).ShouldHold(1, 2, 3, 4);
        where(mask, tensor(1f), Values.Float([1, 2], 3, 4)).ShouldHold(1, 1, 3, 4);
    }

    [Fact]
    public void Masked_fill_copies()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([3], 1, 2, 3);
        x.masked_fill(x.gt(1), -1).ShouldHold(1, -1, -1);
        x.ShouldHold(1, 2, 3);
    }

    [Fact]
    public void Lerp_addcmul_and_addcdiv()
    {
        using var scope = NewDisposeScope();
        var a = Values.Double([2], 1, 2);
        var b = Values.Double([2], 3, 8);
        var c = Values.Double([2], 2, 4);

        a.lerp(b, Values.Double([2], 0.5, 0.25)).ShouldHold(2, 3.5);
        a.addcmul(b, c, 0.5).ShouldHold(4, 18);
        a.addcdiv(b, c, 2).ShouldHold(4, 6);
        a.ShouldHold(1, 2);
    }
}
