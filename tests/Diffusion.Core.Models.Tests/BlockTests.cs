using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class BlockTests
{
    [Theory]
    [InlineData(4, 4, false, 0)]
    [InlineData(4, 8, false, 0)]
    [InlineData(8, 4, true, 0)]
    [InlineData(4, 4, true, 1)]
    [InlineData(4, 8, false, 2)]
    public void A_residual_block_has_the_gradients_of_finite_differences(int inputs, int outputs, bool scaleShift, int resampling)
    {
        using var scope = NewDisposeScope();
        using var block = new ResidualBlock(new ResidualBlockOptions
        {
            Inputs = inputs,
            Outputs = outputs,
            EmbeddingWidth = 6,
            Groups = 2,
            ScaleShift = scaleShift,
        }).to(ScalarType.Float64);
        var x = randn([2, inputs, 5, 4], dtype: ScalarType.Float64).requires_grad_(true);
        var embedding = randn([2, 6], dtype: ScalarType.Float64).requires_grad_(true);
        Func<Tensor, Tensor>? resample = resampling switch
        {
            1 => image => nn.functional.avg_pool2d(image, [2L, 2L]),
            2 => image => nn.functional.interpolate(image, size: [9L, 8L]),
            _ => null,
        };
        var weights = randn_like(block.forward(x, embedding, resample));

        block.forward(x, embedding, resample).shape.Should().Equal(
            [2, outputs, .. resampling switch { 1 => (long[])[2, 2], 2 => [9, 8], _ => [5, 4] }]);
        GradientCheck.LargestError(
            () => block.forward(x, embedding, resample).mul(weights).sum(), block.parameters().Append(x).Append(embedding)).Should().BeLessThan(3e-7);
    }

    [Theory]
    [InlineData(null, 2)]
    [InlineData(2, 4)]
    [InlineData(4, null)]
    public void Attention_has_the_gradients_of_finite_differences(int? headWidth, int? groups)
    {
        using var scope = NewDisposeScope();
        using var attention = new SelfAttention2d(8, headWidth, groups).to(ScalarType.Float64);
        var x = randn([2, 8, 3, 2], dtype: ScalarType.Float64).requires_grad_(true);
        var weights = randn_like(x);

        GradientCheck.LargestError(() => attention.call(x).mul(weights).sum(), attention.parameters().Append(x)).Should().BeLessThan(3e-7);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(2)]
    public void Attention_is_the_softmax_of_scaled_products(int? headWidth)
    {
        using var scope = NewDisposeScope();
        using var attention = new SelfAttention2d(4, headWidth, null).to(ScalarType.Float64);
        var x = randn([1, 4, 2, 3], dtype: ScalarType.Float64);
        var state = attention.state_dict();
        var pixels = x.view(4, 6).t();
        Tensor Linear(string name, Tensor input) => input.mm(state[name + ".weight"].t()).add(state[name + ".bias"]);
        var (q, k, v) = (Linear("to_q", pixels), Linear("to_k", pixels), Linear("to_v", pixels));
        var width = headWidth ?? 4;
        var heads = new List<Tensor>();
        for (var start = 0; start < 4; start += width)
        {
            var scores = q.narrow(1, start, width).mm(k.narrow(1, start, width).t()).div(Math.Sqrt(width)).exp();
            heads.Add(scores.div(scores.sum(1, keepdim: true)).mm(v.narrow(1, start, width)));
        }

        var expected = Linear("to_out.0", cat(heads, 1)).t().reshape(1, 4, 2, 3).add(x);

        attention.call(x).sub(expected).abs().max().item<double>().Should().BeLessThan(1e-12);
    }

    [Theory]
    [InlineData(1, 7, 4)]
    [InlineData(1, 8, 4)]
    [InlineData(0, 7, 3)]
    [InlineData(0, 8, 4)]
    public void Downsampling_rounds_as_its_padding_says(int padding, int size, int expected)
    {
        using var scope = NewDisposeScope();
        using var downsample = new Downsample(2, padding).to(ScalarType.Float64);
        var x = randn([1, 2, size, size], dtype: ScalarType.Float64).requires_grad_(true);
        var weights = randn([1, 2, expected, expected], dtype: ScalarType.Float64);

        downsample.call(x).shape.Should().Equal(1, 2, expected, expected);
        GradientCheck.LargestError(() => downsample.call(x).mul(weights).sum(), downsample.parameters().Append(x)).Should().BeLessThan(3e-7);
    }

    [Fact]
    public void Upsampling_repeats_pixels_to_the_size_asked_for()
    {
        using var scope = NewDisposeScope();
        using var upsample = new Upsample(1).to(ScalarType.Float64);
        using (no_grad())
        {
            upsample.get_parameter("conv.weight")!.fill_(0);
            upsample.get_parameter("conv.weight")![0, 0, 1, 1] = 1;
            upsample.get_parameter("conv.bias")!.fill_(0);
        }

        var x = arange(1, 5, dtype: ScalarType.Float64).view(1, 1, 2, 2);

        upsample.forward(x, 3, 4).data<double>().ToArray().Should().Equal(1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4);
        upsample.call(x).shape.Should().Equal(1, 1, 4, 4);
    }

    [Fact]
    public void Blocks_refuse_shapes_and_sizes_that_do_not_fit()
    {
        using var scope = NewDisposeScope();
        var options = new ResidualBlockOptions { Inputs = 4, Outputs = 4, EmbeddingWidth = 6, Groups = 2 };
        using var block = new ResidualBlock(options);
        using var attention = new SelfAttention2d(4, null, 2);

        FluentActions.Invoking(() => block.call(zeros(1, 3, 2, 2), zeros(1, 6))).Should().Throw<ArgumentException>().WithMessage("*[*, 4, *, *]*[1, 3, 2, 2]*");
        FluentActions.Invoking(() => block.call(zeros(2, 4, 2, 2), zeros(1, 6))).Should().Throw<ArgumentException>().WithMessage("*[2, 6]*[1, 6]*");
        FluentActions.Invoking(() => attention.call(zeros(1, 3, 2, 2))).Should().Throw<ArgumentException>().WithMessage("*[*, 4, *, *]*[1, 3, 2, 2]*");
        FluentActions.Invoking(() => new ResidualBlock(options with { Groups = 3 })).Should().Throw<ArgumentException>().WithMessage("*3 groups*4*");
        FluentActions.Invoking(() => new SelfAttention2d(4, 3, null)).Should().Throw<ArgumentException>().WithMessage("*4 channels*3*");
        FluentActions.Invoking(() => new SelfAttention2d(4, null, 3)).Should().Throw<ArgumentException>().WithMessage("*4 channels*3*");
        FluentActions.Invoking(() => new Downsample(4, 2)).Should().Throw<ArgumentException>().WithMessage("*padding*2*");
    }
}
