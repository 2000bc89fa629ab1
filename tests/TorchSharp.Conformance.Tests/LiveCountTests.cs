using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>The counters that prove that nothing is left behind.</summary>
public class LiveCountTests
{
    private static ThreadDisposeScopeStatistics Statistics => DisposeScopeManager.Statistics;

    [Fact]
    public void The_total_counts_tensor_objects_not_memory()
    {
        var before = Tensor.TotalCount;
        var tensor = zeros([2, 3]);
        (Tensor.TotalCount - before).Should().Be(1);
        var view = tensor.view(6);
        (Tensor.TotalCount - before).Should().Be(2);
        tensor.Dispose();
        (Tensor.TotalCount - before).Should().Be(1);
        view.Dispose();
        (Tensor.TotalCount - before).Should().Be(0);
    }

    [Fact]
    public void Operators_in_place_make_no_tensor()
    {
        using var x = ones([3]);
        using var y = ones([3]);

        Values.LiveTensors(() => x.add_(y).mul_(2).sub_(1).div_(3).copy_(y).fill_(4)).Should().Be(0);
    }

    [Fact]
    public void Zeroing_in_place_makes_a_tensor_object_of_the_same_memory()
    {
        // Unlike every other operator in place: fill_(0) does the same and leaves nothing to dispose.
        using var x = ones([3]);

        Values.LiveTensors(() => x.zero_().Dispose()).Should().Be(0);
        x.ShouldHold(0, 0, 0);
        using var result = x.zero_();
        result.Should().NotBeSameAs(x);
        result.add_(1);
        x.ShouldHold(1, 1, 1);
    }

    [Fact]
    public void Scalars_and_indices_are_not_tensors()
    {
        using var x = ones([3, 4]);

        Values.LiveTensors(() =>
        {
            using var a = x.add(1.5);
            using var b = x[TensorIndex.Ellipsis, 1];
        }).Should().Be(0);
    }

    [Fact]
    public void A_number_in_the_place_of_a_tensor_makes_a_tensor_that_nobody_disposes()
    {
        using var x = zeros([2, 2]);

        Tensor number = 3;
        number.dtype.Should().Be(ScalarType.Int32);
        number.ShouldHold(3);
        number.Dispose();
        using (NewDisposeScope())
            Values.LiveTensors(() => x[0, 1] = 3).Should().Be(1);
        x.ShouldHold(0, 3, 0, 0);
    }

    [Fact]
    public void Reading_shape_type_and_values_makes_no_tensor()
    {
        using var x = ones([3, 4]);
        using var one = ones([1]);

        Values.LiveTensors(() =>
        {
            _ = (x.shape, x.dtype, x.device, x.numel(), x.dim(), x.stride(), x.is_contiguous(), x.requires_grad, x.is_leaf);
            _ = x.data<float>().ToArray();
            _ = one.item<float>();
            _ = x.bytes.Length;
        }).Should().Be(0);
    }

    [Fact]
    public void Converting_to_the_type_it_has_already_still_makes_a_tensor_object()
    {
        using var x = ones([3]);

        Values.LiveTensors(() => x.to(ScalarType.Float32).Dispose()).Should().Be(0);
        var same = x.to(ScalarType.Float32);
        same.Should().NotBeSameAs(x);
        same.add_(1);
        x.ShouldHold(2, 2, 2);
        same.Dispose();
        x.IsInvalid.Should().BeFalse();
    }

    [Fact]
    public void A_parameter_is_counted_twice_in_the_total_and_once_in_the_statistics()
    {
        // The tensor a parameter is made from gives up its handle without leaving the total: one for ever for each parameter made.
        var total = Tensor.TotalCount;
        var live = Statistics.ThreadTotalLiveCount;

        var parameter = nn.Parameter(zeros([3]));
        (Tensor.TotalCount - total).Should().Be(2);
        (Statistics.ThreadTotalLiveCount - live).Should().Be(1);

        parameter.Dispose();
        (Tensor.TotalCount - total).Should().Be(1);
        (Statistics.ThreadTotalLiveCount - live).Should().Be(0);
    }

    [Fact]
    public void Statistics_tell_inside_from_outside()
    {
        var (inside, outside, gone, goneOutside, detached) = (Statistics.CreatedInScopeCount, Statistics.CreatedOutsideScopeCount,
            Statistics.DisposedInScopeCount, Statistics.DisposedOutsideScopeCount, Statistics.DetachedFromScopeCount);

        zeros([2]).Dispose();
        Tensor kept;
        using (NewDisposeScope())
        {
            _ = zeros([2]);
            kept = zeros([2]).DetachFromDisposeScope();
        }

        kept.Dispose();

        (Statistics.CreatedInScopeCount - inside).Should().Be(2);
        (Statistics.CreatedOutsideScopeCount - outside).Should().Be(1);
        (Statistics.DisposedInScopeCount - gone).Should().Be(1);
        (Statistics.DisposedOutsideScopeCount - goneOutside).Should().Be(2);
        (Statistics.DetachedFromScopeCount - detached).Should().Be(1);
    }

    [Fact]
    public void Statistics_belong_to_a_thread()
    {
        var live = Statistics.ThreadTotalLiveCount;
        Tensor? elsewhere = null;
        long seenThere = -1;
        Values.OnAnotherThread(() =>
        {
            elsewhere = zeros([2]);
            seenThere = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        });

        seenThere.Should().Be(1);
        Statistics.ThreadTotalLiveCount.Should().Be(live);
        elsewhere!.Dispose();
        Statistics.ThreadTotalLiveCount.Should().Be(live - 1, "the thread that disposes takes it off its own count");
    }

    [Fact]
    public void A_training_step_leaves_nothing_behind()
    {
        using var weight = nn.Parameter(ones([4, 3]));
        using var bias = nn.Parameter(zeros([4]));
        using var x = randn([5, 3]);

        void Step()
        {
            using var scope = NewDisposeScope();
            var loss = nn.functional.linear(x, weight, bias).square().mean();
            loss.backward();
            using (no_grad())
            {
                weight.sub_(weight.grad!.mul(0.1));
                bias.sub_(bias.grad!.mul(0.1));
            }

            weight.grad!.fill_(0);
            bias.grad!.fill_(0);
        }

        Step();
        Values.LiveTensors(() =>
        {
            for (var i = 0; i < 20; i++)
                Step();
        }).Should().Be(0);
    }
}
