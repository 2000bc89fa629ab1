using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Operators that have nothing to do return a new object of the same memory.</summary>
public class SharedMemoryTests
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> s_operators = new()
    {
        ["cat of one tensor"] = x => cat([x]),
        ["to the same type"] = x => x.to(ScalarType.Float32),
        ["to the same device"] = x => x.to(CPU),
        ["contiguous"] = x => x.contiguous(),
        ["dropout in evaluation"] = x => nn.functional.dropout(x, 0.5, training: false),
        ["a dropout layer in evaluation"] = Evaluate,
    };

    public static TheoryData<string> Operators => [.. s_operators.Keys];

    [Theory]
    [MemberData(nameof(Operators))]
    public void The_result_is_another_object_of_the_same_memory(string name)
    {
        using var scope = NewDisposeScope();
        var x = ones([3]);

        var result = s_operators[name](x);

        result.Should().NotBeSameAs(x);
        result.fill_(5);
        x.ShouldHold(5, 5, 5);
        result.Dispose();
        x.IsInvalid.Should().BeFalse();
    }

    private static Tensor Evaluate(Tensor x)
    {
        using var layer = nn.Dropout(0.5);
        layer.eval();
        return layer.forward(x);
    }
}
