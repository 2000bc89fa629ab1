using Diffusion.Core.FaultHost;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Tests.Support;

/// <summary>What the run of <see cref="HostRun"/> saves when nothing interrupts it: for each step, the bits of each file.</summary>
internal sealed class HostReference
{
    private readonly Dictionary<long, Dictionary<string, string>> _saved = [];

    public HostReference(long steps)
    {
        using var folder = new TemporaryFolder();
        using var run = new HostRun(folder.Path, steps, CheckpointRetention.All);
        run.Trainer.Run(HostRun.Data);
        foreach (var path in CheckpointStore.List(folder.Path))
            _saved[CheckpointStore.StepOf(path)!.Value] = Bits.OfFolder(path);
    }

    /// <summary>A checkpoint must be, file by file and bit for bit, what was saved at the step it is named for.</summary>
    public void Check(string checkpoint, string because)
        => Bits.OfFolder(checkpoint).Should().Equal(_saved[CheckpointStore.StepOf(checkpoint)!.Value], because);
}
