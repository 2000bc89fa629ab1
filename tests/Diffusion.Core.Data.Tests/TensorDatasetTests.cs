using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Data.Tests;

public sealed class TensorDatasetTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void Samples_and_labels_come_back_by_index(ScalarType type)
    {
        using var samples = arange(24, dtype: ScalarType.Float32).view(4, 2, 3).to(type);
        using var labels = tensor(new long[] { 9, 8, 7, 6 });
        var data = new TensorDataset(samples, labels);
        data.Count.Should().Be(4);
        data.SampleShape.Should().Equal(2, 3);

        using var batch = data.Load([3, 0, 3]);

        batch.Samples.dtype.Should().Be(ScalarType.Float32);
        batch.Samples.shape.Should().Equal(3, 2, 3);
        batch.Samples.data<float>().ToArray().Should().Equal(18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 18, 19, 20, 21, 22, 23);
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(6, 9, 6);
    }

    [Fact]
    public void Later_changes_of_the_tensor_are_not_seen_and_strides_do_not_matter()
    {
        using var plain = arange(6, dtype: ScalarType.Float32).view(2, 3);
        using var turned = plain.transpose(0, 1);
        var data = new TensorDataset(turned);
        plain.zero_();

        using var batch = data.Load([0, 1, 2]);

        batch.Samples.data<float>().ToArray().Should().Equal(0, 3, 1, 4, 2, 5);
        batch.Condition.Should().BeNull();
    }

    [Fact]
    public void A_sample_may_be_a_number()
    {
        using var samples = tensor(new[] { 1.5f, 2.5f });
        var data = new TensorDataset(samples);
        data.SampleShape.Should().BeEmpty();

        using var batch = data.Load([1]);

        batch.Samples.shape.Should().Equal(1);
        batch.Samples.data<float>().ToArray().Should().Equal(2.5f);
    }

    [Fact]
    public void Making_one_and_loading_leave_no_tensors()
    {
        using var samples = ones(4, 3);
        using var labels = zeros(4, dtype: ScalarType.Int64);

        LiveTensors.Change(() =>
        {
            var data = new TensorDataset(samples, labels);
            for (var i = 0; i < 100; i++)
                data.Load([0, 3]).Dispose();
        }).Should().Be(0);
        samples.data<float>().ToArray().Should().OnlyContain(value => value == 1f);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        using var samples = ones(4, 3);
        using var integers = ones(4, 3, dtype: ScalarType.Int64);
        using var empty = ones(0, 3);
        using var scalar = tensor(1.0f);
        using var three = zeros(3, dtype: ScalarType.Int64);
        using var floats = zeros(4);

        Refuse(() => new TensorDataset(integers), "*floating point*Int64*");
        Refuse(() => new TensorDataset(empty), "*[0, 3]*");
        Refuse(() => new TensorDataset(scalar), "*[]*");
        Refuse(() => new TensorDataset(samples, three), "*[4]*[3]*");
        Refuse(() => new TensorDataset(samples, floats), "*Int64*Float32*");
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(4)]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_outside_is_refused(long index)
    {
        using var samples = ones(4, 3);
        var data = new TensorDataset(samples);

        var load = () => data.Load([index]);

        load.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*0..3*{index}*");
    }

    private static void Refuse(Func<TensorDataset> make, string message) => make.Should().Throw<ArgumentException>().WithMessage(message);
}
