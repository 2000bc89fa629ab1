using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Reads the elements of tensors, and counts the tensors that are alive.</summary>
internal static class Values
{
    /// <summary>The elements in row-major order; leaves no tensor behind.</summary>
    public static double[] Of(Tensor tensor)
    {
        using var detached = tensor.detach();
        using var wide = detached.to(ScalarType.Float64);
        return wide.data<double>().ToArray();
    }

    /// <summary>Requires exactly these elements, in row-major order.</summary>
    public static void ShouldHold(this Tensor tensor, params double[] expected) => Of(tensor).Should().Equal(expected);

    /// <summary>The change in the number of live tensors of this thread over an action.</summary>
    public static long LiveTensors(Action action)
    {
        var statistics = DisposeScopeManager.Statistics;
        var before = statistics.ThreadTotalLiveCount;
        action();
        return statistics.ThreadTotalLiveCount - before;
    }

    /// <summary>Runs an action on a thread of its own to its end.</summary>
    public static void OnAnotherThread(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        thread.Join();
    }
}
