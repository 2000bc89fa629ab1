using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>The two counters of live tensors.</summary>
public class LiveCountTests
{
    private static ThreadDisposeScopeStatistics Statistics => DisposeScopeManager.Statistics;

    [Fact]
    public void A_parameter_leaves_one_in_the_total_for_good_and_none_in_the_statistics()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var (total, live) = (Tensor.TotalCount, Statistics.ThreadTotalLiveCount);

        var parameter = nn.Parameter(zeros([3]));
        (Tensor.TotalCount - total).Should().Be(2);
        (Statistics.ThreadTotalLiveCount - live).Should().Be(1);

        parameter.Dispose();
        (Tensor.TotalCount - total).Should().Be(1);
        (Statistics.ThreadTotalLiveCount - live).Should().Be(0);
    }

    [Fact]
    public void Statistics_belong_to_a_thread()
    {
        var live = Statistics.ThreadTotalLiveCount;
        Tensor? elsewhere = null;
        var seenThere = -1L;
        Values.OnAnotherThread(() =>
        {
            elsewhere = zeros([2]);
            seenThere = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        });

        seenThere.Should().Be(1);
        Statistics.ThreadTotalLiveCount.Should().Be(live);
        elsewhere!.Dispose();
        Statistics.ThreadTotalLiveCount.Should().Be(live - 1, "the thread that disposes a tensor subtracts it from its own count");
    }
}
