using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SharedLayerTests
{
    public static TheoryData<string> Activations => ["Relu", "Silu", "Gelu", "GeluTanh", "GeluSigmoid", "GeGlu", "SwiGlu"];

    [Theory]
    [MemberData(nameof(Activations))]
    public void Activations_are_their_closed_forms(string name)
    {
        using var scope = NewDisposeScope();
        double[] values = [-3.1, -0.7, 0.0, 0.4, 1.3, 2.9];
        var (activation, form, gated) = Named(name);

        var actual = activation.Apply(tensor(values)).data<double>().ToArray();

        activation.InputsPerOutput.Should().Be(gated ? 2 : 1);
        var expected = gated
            ? Enumerable.Range(0, 3).Select(i => values[i] * form(values[i + 3]))
            : values.Select(form);
        actual.Should().HaveCount(gated ? 3 : 6);
        actual.Zip(expected).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-7);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Attention_is_the_weighted_mean_that_vaswani_et_al_define(bool crosses, bool masks)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(3);
        var attention = new MultiHeadAttention(new() { Width = 6, Heads = 2, HeadWidth = 4, ContextWidth = crosses ? 5 : null, OutputWidth = 3 })
            .to(ScalarType.Float64);
        var tokens = randn(2, 4, 6, dtype: ScalarType.Float64);
        var context = crosses ? randn(2, 7, 5, dtype: ScalarType.Float64) : null;
        var mask = masks ? rand([2, 1, 1, 7]).add(tensor(new[] { 1f, 0, 0, 0, 0, 0, 0 })).gt(0.4) : null;

        var actual = attention.call(tokens, context, mask);

        var weights = attention.state_dict();
        Tensor Project(Tensor x, string name) => x.matmul(weights[$"{name}.weight"].t()).add(weights[$"{name}.bias"]);
        var source = context ?? tokens;
        var (q, k, v) = (Project(tokens, "to_q"), Project(source, "to_k"), Project(source, "to_v"));
        var heads = new List<Tensor>();
        for (var head = 0; head < 2; head++)
        {
            var logits = q.narrow(2, 4 * head, 4).matmul(k.narrow(2, 4 * head, 4).transpose(1, 2)).div(2);
            if (mask is not null)
                logits = logits.add(mask.squeeze(1).logical_not().to(ScalarType.Float64).mul(-1e9));
            var exponents = logits.exp();
            heads.Add(exponents.div(exponents.sum(-1, keepdim: true)).matmul(v.narrow(2, 4 * head, 4)));
        }

        RelativeError.OfSamples(actual, Project(cat(heads, 2), "to_out.0")).Should().BeLessThan(1e-12);
    }

    [Fact]
    public void Gradients_of_attention_and_feed_forward_are_those_of_finite_differences()
    {
        using var scope = NewDisposeScope();
        random.manual_seed(4);
        var attention = new MultiHeadAttention(new() { Width = 4, Heads = 2, HeadWidth = 3, InputBias = false }).to(ScalarType.Float64);
        var forward = new FeedForward(4, 6, Activation.GeGlu).to(ScalarType.Float64);
        var tokens = randn(2, 3, 4, dtype: ScalarType.Float64, requires_grad: true);
        var weights = randn(2, 3, 4, dtype: ScalarType.Float64);

        GradientCheck.LargestError(
            () => forward.call(attention.call(tokens, null, null)).mul(weights).sum(),
            attention.parameters().Concat(forward.parameters()).Append(tokens)).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused_and_nothing_stays()
    {
        using var attention = new MultiHeadAttention(new() { Width = 4, Heads = 2, HeadWidth = 2, ContextWidth = 3 });
        using var forward = new FeedForward(4);
        using var tokens = zeros(2, 5, 4);
        using var context = zeros(2, 7, 3);
        using var mask = ones([2, 1, 1, 6], ScalarType.Bool);

        LiveTensors.Change(() =>
        {
            FluentActions.Invoking(() => attention.call(context, null, null)).Should().Throw<ArgumentException>().WithMessage("*tokens*4*3*");
            FluentActions.Invoking(() => attention.call(tokens, tokens, null)).Should().Throw<ArgumentException>().WithMessage("*context*3*4*");
            FluentActions.Invoking(() => attention.call(tokens, context, mask)).Should().Throw<ArgumentException>().WithMessage("*mask*7*6*");
            FluentActions.Invoking(() => forward.call(context)).Should().Throw<ArgumentException>().WithMessage("*4*[2, 7, 3]*");
            attention.call(tokens, context, null).Dispose();
            forward.call(tokens).Dispose();
        }).Should().Be(0);
    }

    private static (Activation Activation, Func<double, double> Form, bool Gated) Named(string name) => name switch
    {
        "Relu" => (Activation.Relu, x => Math.Max(x, 0), false),
        "Silu" => (Activation.Silu, Silu, false),
        "Gelu" => (Activation.Gelu, Gelu, false),
        "GeluTanh" => (Activation.GeluTanh, x => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))), false),
        "GeluSigmoid" => (Activation.GeluSigmoid, x => x / (1 + Math.Exp(-1.702 * x)), false),
        "GeGlu" => (Activation.GeGlu, Gelu, true),
        _ => (Activation.SwiGlu, Silu, true),
    };

    private static double Silu(double x) => x / (1 + Math.Exp(-x));

    private static double Gelu(double x) => 0.5 * x * (1 + MathNet.Numerics.SpecialFunctions.Erf(x / Math.Sqrt(2)));
}
