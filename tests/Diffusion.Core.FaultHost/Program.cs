using System.Globalization;
using Diffusion.Core;
using Diffusion.Core.FaultHost;

// load FOLDER SHAPE: SecondProgram. collect SITUATION STEPS SAMPLERSTEPS: CollectionRun. pages: PageFaults. spin: SpinSetting. Otherwise:
// FOLDER STEPS [kill N | full STEP BYTES | stuck]: trains, resuming from FOLDER; prints each step. "kill" ends the process before the N-th
// operation on files; "full" lets no file grow beyond BYTES from STEP on, until a save has failed; "stuck" never ends its first step.
if (args is ["collect", var situation, ..])
{
    using var collection = new CollectionRun();
    collection.Run(situation, Number(2), Number(3));
    return 0;
}

if (args is ["load", var saved, ..])
{
    SecondProgram.Run(saved, [.. args.Skip(2).Select(size => long.Parse(size, CultureInfo.InvariantCulture))]);
    return 0;
}

if (args is ["spin"])
{
    SpinSetting.Run();
    return 0;
}

if (args is ["pages"])
{
    PageFaults.Run();
    return 0;
}

var folder = args[0];
var steps = Number(1);
var mode = args.ElementAtOrDefault(2);
using var run = new HostRun(folder, steps, logger: mode == "kill" ? new KillingLogger((int)Number(3)) : null);
using var stop = new StopSignals();
using var told = stop.Token.Register(() => Console.WriteLine("asked to end"));
FileSizeLimit? full = null;
var progress = new Progress(report =>
{
    if (mode == "full" && report.Step == Number(3))
        full = new FileSizeLimit(Number(4));
    Console.WriteLine($"step {report.Step}");
    if (mode == "stuck")
        Thread.Sleep(Timeout.Infinite);
});
try
{
    try
    {
        run.Trainer.Fit(HostRun.Data, progress, stop.Token);
    }
    catch (CheckpointException e)
    {
        full?.Dispose();
        Console.WriteLine($"failed at {run.Trainer.Step} needing {e.RequiredBytes}: {e.Message}");
        Console.WriteLine($"left {string.Join(' ', Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order())}");
        run.Trainer.Save();
        run.Trainer.Fit(HostRun.Data, progress, stop.Token);
    }
}
catch (OperationCanceledException)
{
    Console.WriteLine($"stopped at {run.Trainer.Step}");
    return stop.ExitCode ?? 1;
}

return 0;

long Number(int index) => long.Parse(args[index], CultureInfo.InvariantCulture);

internal sealed class Progress(Action<TrainingProgress> told) : IProgress<TrainingProgress>
{
    public void Report(TrainingProgress value) => told(value);
}
