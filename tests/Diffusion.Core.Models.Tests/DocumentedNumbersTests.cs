using Diffusion.Core.Testing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The example of docs/torchsharp.md.</summary>
public class DocumentedNumbersTests
{
    [Fact]
    public void The_layer_holds_its_numbers()
    {
        using var layer = new ResidualLayer(3) { Strength = 2.0 };
        using var x = ones([2, 3]);
        using var scope = NewDisposeScope();
        var weight = layer.get_parameter("_linear.weight")!;
        var bias = layer.get_parameter("_linear.bias")!;

        var expected = x.add(x.matmul(weight.t()).add(bias).mul(2.0)).mul(0.5);
        layer.call(x).allclose(expected, rtol: 1e-6).Should().BeTrue();
    }

    [Fact]
    public void The_example_is_this()
    {
        var source = Lines(Path.Combine("tests", "Diffusion.Core.Models.Tests", $"{nameof(DocumentedNumbersTests)}.cs"));
        var document = Lines(Path.Combine("docs", "torchsharp.md"));
        var start = document.IndexOf("```csharp") + 1;
        var example = document[start..document.IndexOf("```", start)];

        example.Should().HaveCountGreaterThan(20);
        string.Join('\n', source).Should().Contain(string.Join('\n', example));
    }

    private static List<string> Lines(string path) => [.. File.ReadLines(Path.Combine(TestData.Root, path)).Select(line => line.Trim())];

    public sealed class ResidualLayer : nn.Module<Tensor, Tensor>
    {
        private static readonly Scalar _one = 1;
        private static readonly Scalar _half = 0.5;
        private readonly Linear _linear;

        public ResidualLayer(long width)
            : base(nameof(ResidualLayer))
        {
            _linear = nn.Linear(width, width);
            RegisterComponents();
        }

        public double Strength { get; set; } = 1.0;

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            using Scalar strength = Strength;
            var change = _linear.call(x).mul(strength);
            return x.add(change, alpha: _one).mul(_half).MoveToOuterDisposeScope();
        }
    }
}
