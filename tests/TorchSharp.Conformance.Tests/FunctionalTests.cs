using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Functions of nn.functional against loops that do the same.</summary>
public class FunctionalTests
{
    private static Tensor Draw(params long[] shape)
    {
        using var generator = new Generator(11);
        return randn(shape, dtype: ScalarType.Float64, generator: generator);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(2, 0)]
    [InlineData(3, 2)]
    public void Convolution_by_stride_and_padding(int stride, int padding)
    {
        using var scope = NewDisposeScope();
        const int B = 2, I = 3, O = 2, K = 3, S = 6;
        var x = Draw(B, I, S, S);
        var w = Draw(O, I, K, K);
        var b = Draw(O);
        var (vx, vw, vb) = (Values.Of(x), Values.Of(w), Values.Of(b));
        var size = ((S + (2 * padding) - K) / stride) + 1;
        var expected = new List<double>();
        for (var n = 0; n < B; n++)
            for (var o = 0; o < O; o++)
                for (var row = 0; row < size; row++)
                    for (var column = 0; column < size; column++)
                    {
                        var sum = vb[o];
                        for (var i = 0; i < I; i++)
                            for (var k = 0; k < K * K; k++)
                            {
                                var (r, c) = ((row * stride) - padding + (k / K), (column * stride) - padding + (k % K));
                                if (r >= 0 && r < S && c >= 0 && c < S)
                                    sum += vx[(((((n * I) + i) * S) + r) * S) + c] * vw[(((o * I) + i) * K * K) + k];
                            }

                        expected.Add(sum);
                    }

        var y = nn.functional.conv2d(x, w, b, [stride, stride], [padding, padding]);

        y.ShouldHaveShape(B, O, size, size);
        y.ShouldBeNear(1e-13, [.. expected]);
        nn.functional.conv2d(x, w, null, [stride, stride], [padding, padding]).add(b.view(1, O, 1, 1)).ShouldBeNear(1e-13, [.. expected]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Group_normalisation(int groups)
    {
        using var scope = NewDisposeScope();
        var x = Draw(2, 4, 3, 3);
        var weight = Draw(4);
        var bias = Draw(4);

        var grouped = x.view(2, groups, -1);
        var centred = grouped.sub(grouped.mean([2L], keepdim: true));
        var scaled = centred.div(centred.mul(centred).mean([2L], keepdim: true).add(1e-5).sqrt()).view(2, 4, 3, 3);
        var expected = scaled.mul(weight.view(1, 4, 1, 1)).add(bias.view(1, 4, 1, 1));

        nn.functional.group_norm(x, groups, weight, bias).ShouldBeNear(1e-13, Values.Of(expected));
        nn.functional.group_norm(x, groups).ShouldBeNear(1e-13, Values.Of(scaled));
    }

    [Fact]
    public void A_linear_map_is_the_product_with_the_transpose()
    {
        using var scope = NewDisposeScope();
        var x = Draw(3, 4);
        var w = Draw(2, 4);
        var b = Draw(2);
        nn.functional.linear(x, w, b).ShouldBeNear(1e-14, Values.Of(x.matmul(w.transpose(0, 1)).add(b)));
        nn.functional.linear(x, w).ShouldBeNear(1e-14, Values.Of(x.matmul(w.transpose(0, 1))));
    }

    [Fact]
    public void Silu_is_x_times_its_sigmoid()
    {
        using var scope = NewDisposeScope();
        var x = Draw(2, 3);
        var expected = Values.Of(x.mul(x.sigmoid()));
        nn.functional.silu(x).ShouldBeNear(1e-14, expected);
        nn.functional.silu(x, inplace: true).ShouldBeNear(1e-14, expected);
        x.ShouldBeNear(1e-14, expected);
    }

    [Theory]
    [InlineData(2, 4)]
    [InlineData(3, 7)]
    [InlineData(7, 14)]
    [InlineData(4, 2)]
    [InlineData(5, 3)]
    public void Nearest_interpolation_to_a_size_takes_the_pixel_to_the_left(int from, int to)
    {
        using var scope = NewDisposeScope();
        var x = Draw(1, 2, from, from);
        var values = Values.Of(x);
        var expected = new List<double>();
        for (var c = 0; c < 2; c++)
            for (var row = 0; row < to; row++)
                for (var column = 0; column < to; column++)
                    expected.Add(values[(((c * from) + (row * from / to)) * from) + (column * from / to)]);

        var y = nn.functional.interpolate(x, size: [to, to], mode: InterpolationMode.Nearest);

        y.ShouldHaveShape(1, 2, to, to);
        y.ShouldHold([.. expected]);
    }

    [Fact]
    public void Nearest_interpolation_by_a_factor()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([1, 1, 1, 2], 1, 2);
        nn.functional.interpolate(x, scale_factor: [2.0, 2.0], mode: InterpolationMode.Nearest).ShouldHold(1, 1, 2, 2, 1, 1, 2, 2);
        nn.functional.interpolate(x, scale_factor: [3.0, 1.0]).ShouldHaveShape(1, 1, 3, 2);
    }

    [Fact]
    public void The_gradient_of_nearest_interpolation_counts_the_copies()
    {
        using var scope = NewDisposeScope();
        var x = ones([1, 1, 1, 2]).requires_grad_();
        nn.functional.interpolate(x, size: [2, 3]).sum().backward();
        x.grad!.ShouldHold(4, 2);
    }

    [Fact]
    public void Padding_begins_with_the_last_dimension()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([1, 1, 1, 2], 1, 2);
        nn.functional.pad(x, [1, 2]).ShouldHold(0, 1, 2, 0, 0);
        nn.functional.pad(x, [0, 1, 0, 1]).ShouldHold(1, 2, 0, 0, 0, 0);
        nn.functional.pad(x, [1, 0], value: 7).ShouldHold(7, 1, 2);
    }

    [Fact]
    public void Average_pooling()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 16, ScalarType.Float32).view(1, 1, 4, 4);
        nn.functional.avg_pool2d(x, [2L, 2L], [2L, 2L]).ShouldHold(2.5, 4.5, 10.5, 12.5);
        nn.functional.avg_pool2d(x.narrow(3, 0, 3), [2L, 2L], [2L, 2L]).ShouldHaveShape(1, 1, 2, 1);
    }

    [Fact]
    public void Dropout_only_in_training()
    {
        using var scope = NewDisposeScope();
        var x = ones([10000]);
        nn.functional.dropout(x, 0.5, training: false).ShouldHold(Values.Of(x));
        Values.Of(nn.functional.dropout(x, 0.5, training: true)).Count(v => v == 0).Should().BeInRange(4700, 5300);
        nn.functional.dropout(x, 0).ShouldHold(Values.Of(x));
        Values.Of(nn.functional.dropout(x, 1)).Should().OnlyContain(v => v == 0);
    }

    // A line is a flat image and an image a flat volume: a kernel or a window that is one pixel thin there changes nothing.
    [Theory]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    public void Convolutions_of_one_and_three_dimensions_are_those_of_two_on_flat_images(int stride, int padding)
    {
        using var scope = NewDisposeScope();
        var (line, kernel1, bias) = (Draw(2, 3, 7), Draw(4, 3, 3), Draw(4));
        var (image, kernel2) = (Draw(2, 3, 7, 6), Draw(4, 3, 3, 3));

        var ofLine = nn.functional.conv2d(line.unsqueeze(2), kernel1.unsqueeze(2), bias, [1, stride], [0, padding]).squeeze(2);
        var ofImage = nn.functional.conv2d(image, kernel2, bias, [stride, stride], [padding, padding]);

        nn.functional.conv1d(line, kernel1, bias, stride, padding).ShouldBeNear(1e-13, Values.Of(ofLine));
        var volume = nn.functional.conv3d(image.unsqueeze(2), kernel2.unsqueeze(2), bias, [1, stride, stride], [0, padding, padding]);
        volume.ShouldHaveShape([2, 4, 1, .. ofImage.shape[2..]]);
        volume.ShouldBeNear(1e-13, Values.Of(ofImage));
    }

    [Fact]
    public void Pooling_of_one_and_three_dimensions()
    {
        using var scope = NewDisposeScope();
        var (line, image) = (Draw(2, 3, 7), Draw(2, 3, 6, 5));

        var ofLine = nn.functional.avg_pool2d(line.unsqueeze(2), [1, 2]).squeeze(2);
        var ofPair = nn.functional.avg_pool2d(image, [2, 2]);

        nn.functional.avg_pool1d(line, 2).ShouldHaveShape(2, 3, 3);
        nn.functional.avg_pool1d(line, 2).ShouldBeNear(1e-13, Values.Of(ofLine));
        var volume = nn.functional.avg_pool3d(stack([image, image.mul(3)], 2), [2, 2, 2]);
        volume.ShouldHaveShape(2, 3, 1, 3, 2);
        volume.ShouldBeNear(1e-13, Values.Of(ofPair.mul(2)));
    }

    [Fact]
    public void Nearest_pixels_of_one_and_three_dimensions()
    {
        using var scope = NewDisposeScope();
        var line = Values.Float([1, 1, 3], 1, 2, 3);
        var volume = Values.Float([1, 1, 2, 1, 2], 1, 2, 3, 4);

        nn.functional.interpolate(line, size: [6], mode: InterpolationMode.Nearest).ShouldHold(1, 1, 2, 2, 3, 3);
        nn.functional.interpolate(line, size: [5], mode: InterpolationMode.Nearest).ShouldHold(1, 1, 2, 2, 3);
        nn.functional.interpolate(volume, size: [2, 2, 2], mode: InterpolationMode.Nearest).ShouldHold(1, 2, 1, 2, 3, 4, 3, 4);
    }
}
