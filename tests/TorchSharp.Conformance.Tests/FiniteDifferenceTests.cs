using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Gradients of what the networks are made of, against central differences in double precision.</summary>
public class FiniteDifferenceTests
{
    private const double Step = 1e-5;

    private static readonly Dictionary<string, (long[][] Shapes, Func<Tensor[], Tensor> Function)> All = new()
    {
        ["conv2d"] = ([[2, 2, 4, 4], [3, 2, 3, 3], [3]], p => nn.functional.conv2d(p[0], p[1], p[2], [2, 2], [1, 1])),
        ["linear"] = ([[3, 4], [2, 4], [2]], p => nn.functional.linear(p[0], p[1], p[2])),
        ["group_norm"] = ([[2, 4, 2, 2], [4], [4]], p => nn.functional.group_norm(p[0], 2, p[1], p[2])),
        ["attention"] = ([[1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 5, 4]], p => nn.functional.scaled_dot_product_attention(p[0], p[1], p[2])),
        ["softmax"] = ([[2, 3]], p => p[0].softmax(-1)),
        ["silu"] = ([[2, 3]], p => p[0].silu()),
        ["sigmoid"] = ([[2, 3]], p => p[0].sigmoid()),
        ["interpolate"] = ([[1, 2, 2, 2]], p => nn.functional.interpolate(p[0], size: [3, 4])),
        ["avg_pool2d"] = ([[1, 2, 4, 4]], p => nn.functional.avg_pool2d(p[0], [2L, 2L], [2L, 2L])),
        ["pad"] = ([[1, 2, 2, 2]], p => nn.functional.pad(p[0], [0, 1, 0, 1])),
        ["mean"] = ([[2, 3]], p => p[0].mean([1L])),
        ["std"] = ([[2, 3]], p => p[0].std(1)),
        ["sin and cos"] = ([[2, 3]], p => p[0].sin().mul(p[0].cos())),
        ["exp and sqrt"] = ([[2, 3]], p => p[0].exp().sqrt()),
        ["division"] = ([[2, 3], [3]], p => p[0].div(p[1].square().add(1))),
        ["matmul"] = ([[2, 3], [3, 2]], p => p[0].matmul(p[1])),
        ["bmm"] = ([[2, 2, 3], [2, 3, 2]], p => p[0].bmm(p[1])),
        ["permute and cat"] = ([[2, 3], [3, 2]], p => cat([p[0].permute(1, 0), p[1]], 1)),
        ["expand and narrow"] = ([[2, 1]], p => p[0].expand(2, 4).narrow(1, 1, 2)),
        ["pow"] = ([[2, 3]], p => p[0].square().add(1).pow(0.5)),
        ["norm"] = ([[2, 3]], p => p[0].norm()),
    };

    public static TheoryData<string> Functions => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Functions))]
    public void The_gradient_is_the_slope(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var (shapes, function) = All[name];
        var inputs = shapes.Select(s => randn(s, dtype: ScalarType.Float64, generator: generator)).ToArray();
        var weights = randn(function(inputs).shape, dtype: ScalarType.Float64, generator: generator);

        double Loss()
        {
            using var inner = NewDisposeScope();
            using var guard = no_grad();
            return function(inputs).mul(weights).sum().item<double>();
        }

        foreach (var input in inputs)
            input.requires_grad_();
        function(inputs).mul(weights).sum().backward();

        foreach (var input in inputs)
        {
            var gradient = Values.Of(input.grad!);
            var flat = input.detach().view(-1);
            for (var i = 0; i < gradient.Length; i++)
            {
                var here = flat[i].item<double>();
                flat[i].fill_(here + Step);
                var above = Loss();
                flat[i].fill_(here - Step);
                var below = Loss();
                flat[i].fill_(here);
                gradient[i].Should().BeApproximately((above - below) / (2 * Step), 1e-7, "of element {0}", i);
            }
        }
    }
}
