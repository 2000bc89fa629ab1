using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Operators in place: they change their tensor and return that very object.</summary>
public class InPlaceTests
{
    private static readonly Dictionary<string, (Func<Tensor, Tensor> Operator, double[] Expected)> All = new()
    {
        ["add_ number"] = (x => x.add_(1), [2, 5]),
        ["sub_ number"] = (x => x.sub_(1), [0, 3]),
        ["mul_ number"] = (x => x.mul_(3), [3, 12]),
        ["div_ number"] = (x => x.div_(2), [0.5, 2]),
        ["add_ scaled"] = (x => x.add_(Two, alpha: 0.5), [2, 6]),
        ["add_"] = (x => x.add_(Two), [3, 8]),
        ["sub_"] = (x => x.sub_(Two), [-1, 0]),
        ["mul_"] = (x => x.mul_(Two), [2, 16]),
        ["div_"] = (x => x.div_(Two), [0.5, 1]),
        ["copy_"] = (x => x.copy_(Two), [2, 4]),
        ["fill_"] = (x => x.fill_(-7), [-7, -7]),
        ["clamp_"] = (x => x.clamp_(2, 3), [2, 3]),
        ["clamp_max_"] = (x => x.clamp_max_(2), [1, 2]),
        ["masked_fill_"] = (x => x.masked_fill_(x.gt(2), -1), [1, -1]),
        ["reciprocal_"] = (x => x.reciprocal_(), [1, 0.25]),
        ["sqrt_"] = (x => x.sqrt_(), [1, 2]),
        ["sign_"] = (x => x.sub_(2.0).sign_(), [-1, 1]),
        ["floor_"] = (x => x.add_(0.5).floor_(), [1, 4]),
        ["lerp_"] = (x => x.lerp_(Two, Two.mul(0.25)), [1.5, 4]),
        ["addcmul_"] = (x => x.addcmul_(Two, Two, 0.5), [3, 12]),
        ["addcdiv_"] = (x => x.addcdiv_(Two, Two, 3), [4, 7]),
        ["set_"] = (x => x.set_(Two), [2, 4]),
    };

    public static TheoryData<string> Operators => [.. All.Keys];

    private static Tensor Two => Values.Float([2], 2, 4);

    [Theory]
    [MemberData(nameof(Operators))]
    public void The_same_object_comes_back_changed(string name)
    {
        using var scope = NewDisposeScope();
        var (apply, expected) = All[name];
        var x = Values.Float([2], 1, 4);

        var result = apply(x);

        result.Should().BeSameAs(x);
        x.ShouldHold(expected);
        x.dtype.Should().Be(ScalarType.Float32);
    }

    [Theory]
    [MemberData(nameof(Operators))]
    public void A_view_changes_the_whole(string name)
    {
        using var scope = NewDisposeScope();
        var (apply, expected) = All[name];
        var whole = Values.Float([4], 9, 1, 4, 9);

        apply(whole.narrow(0, 1, 2));

        whole.ShouldHold(name == "set_" ? [9, 1, 4, 9] : [9, .. expected, 9]);
    }

    [Fact]
    public void Random_fills_take_a_generator_and_return_the_same_object()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var x = zeros([1000]);

        x.normal_(1, 2, generator).Should().BeSameAs(x);
        Values.Of(x).Average().Should().BeApproximately(1, 0.3);
        x.uniform_(2, 3, generator).Should().BeSameAs(x);
        Values.Of(x).Should().OnlyContain(v => v >= 2 && v < 3);
    }

    [Fact]
    public void Copy_converts_type_and_broadcasts()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 2]);

        x.copy_(Values.Double([2], 1.5, 2.5)).ShouldHold(1.5, 2.5, 1.5, 2.5);
        var whole = zeros([2], ScalarType.Int64);
        whole.copy_(Values.Double([2], 1.5, -2.5)).ShouldHold(1, -2);
    }

    [Fact]
    public void A_tensor_keeps_its_type_when_the_other_is_wider()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([2], 1, 2);
        x.add_(Values.Double([2], 0.5, 0.5)).dtype.Should().Be(ScalarType.Float32);
        x.ShouldHold(1.5, 2.5);
    }

    [Fact]
    public void An_integer_tensor_refuses_a_fractional_number()
    {
        using var x = zeros([2], ScalarType.Int64);
        ((Action)(() => x.add_(0.5))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
        ((Action)(() => x.div_(2))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
    }

    [Fact]
    public void An_expanded_tensor_refuses_to_be_written_to()
    {
        using var x = zeros([1, 2]);
        using var expanded = x.expand(3, 2);
        ((Action)(() => expanded.add_(1))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
    }

    [Fact]
    public void A_result_that_does_not_fit_is_refused()
    {
        using var x = zeros([3]);
        using var wide = zeros([2, 3]);
        using var other = zeros([4]);

        ((Action)(() => x.add_(wide))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
        ((Action)(() => x.copy_(other))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
        x.ShouldHold(0, 0, 0);
    }
}
