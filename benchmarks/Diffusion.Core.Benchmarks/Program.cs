using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Diffusion.Core.Benchmarks;
using Perfolizer.Horology;

// In this process, whose output folder holds libtorch already. Many short iterations: the fastest of them is the cost of an operation
// while nothing else runs, also on a machine where much else does.
var config = DefaultConfig.Instance.AddJob(Job.Default
    .WithToolchain(InProcessEmitToolchain.Instance)
    .WithWarmupCount(100)
    .WithIterationCount(1000)
    .WithIterationTime(TimeInterval.FromMilliseconds(1)));
if (args is ["--operators-against", var operators])
    OverheadTable.Print(BenchmarkRunner.Run<OperatorOverhead>(config), operators, "Python");
else if (args is ["--solvers-against", var solvers])
    OverheadTable.Print(BenchmarkRunner.Run<SolverSteps>(config), solvers, "diffusers");
else
    BenchmarkSwitcher.FromAssembly(typeof(OperatorOverhead).Assembly).Run(args, config);
