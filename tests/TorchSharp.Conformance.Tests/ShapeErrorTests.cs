using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>
/// Shapes that do not fit are exceptions whose message begins with libtorch's own. Only those operators are tried whose errors do not
/// end the process of real TorchSharp.
/// </summary>
public class ShapeErrorTests
{
    private static readonly Dictionary<string, (Action Act, string Says)> All = new()
    {
        ["add"] = (() => zeros([2, 3]).add(zeros([4])), "size of tensor a (3) must match the size of tensor b (4)"),
        ["mul"] = (() => zeros([2, 3]).mul(zeros([3, 3])), "must match"),
        ["view"] = (() => zeros([2, 3]).view(5), "shape '[5]' is invalid for input of size 6"),
        ["view of strides"] = (() => zeros([2, 3]).transpose(0, 1).view(6), "view"),
        ["reshape"] = (() => zeros([2, 3]).reshape(4, 2), "invalid for input of size 6"),
        ["permute"] = (() => zeros([2, 3]).permute(0, 1, 2), "permute"),
        ["expand"] = (() => zeros([2, 3]).expand(4, 3), "expanded size"),
        ["narrow"] = (() => zeros([2, 3]).narrow(0, 1, 2), "exceeds dimension size"),
        ["cat"] = (() => cat([zeros([2, 3]), zeros([2, 4])]), "Sizes of tensors must match"),
        ["stack"] = (() => stack([zeros([2]), zeros([3])]), "stack expects each tensor to be equal size"),
        ["sum"] = (() => zeros([2, 3]).sum(2), "Dimension out of range"),
        ["softmax"] = (() => zeros([2, 3]).softmax(2), "Dimension out of range"),
        ["unsqueeze"] = (() => zeros([2, 3]).unsqueeze(4), "Dimension out of range"),
        ["copy_"] = (() => zeros([2]).copy_(zeros([3])), "must match"),
        ["index_select"] = (() => zeros([2]).index_select(0, tensor(new long[] { 2 })), "index out of range"),
        ["conv2d"] = (() => nn.functional.conv2d(zeros([1, 3, 4, 4]), zeros([2, 4, 3, 3])), "expected input"),
        ["linear"] = (() => nn.functional.linear(zeros([2, 3]), zeros([4, 5])), "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)"),
        ["group_norm"] = (() => nn.functional.group_norm(zeros([1, 3, 2, 2]), 2), "number of channels"),
    };

    public static TheoryData<string> Operators => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Operators))]
    public void A_native_error_is_an_external_exception_and_does_no_harm(string name)
    {
        using var scope = NewDisposeScope();
        var (act, says) = All[name];

        act.Should().ThrowExactly<ExternalException>().WithMessage($"*{says}*");

        ones([2]).add(1).ShouldHold(2, 2);
    }

    [Fact]
    public void A_native_error_leaves_no_tensor_behind()
    {
        using var x = zeros([2, 3]);
        using var y = zeros([4]);
        Values.LiveTensors(() => ((Action)(() => x.add(y))).Should().Throw<ExternalException>()).Should().Be(0);
    }
}
