using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Diffusion.Core.Benchmarks;
using Perfolizer.Horology;

// The benchmarks run in this process, because its output folder contains libtorch. Many short iterations are used, so that the fastest one
// measures the operation without interruption, even on a busy machine.
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
