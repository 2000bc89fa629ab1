using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Diffusion.Core.Benchmarks;
using Perfolizer.Horology;

// In this process: a generated project would not know where torch comes from. Many short iterations: the fastest of them is what an
// operation costs while nothing else runs, also on a machine where much else does.
var config = DefaultConfig.Instance.AddJob(Job.Default
    .WithToolchain(InProcessEmitToolchain.Instance)
    .WithWarmupCount(100)
    .WithIterationCount(1000)
    .WithIterationTime(TimeInterval.FromMilliseconds(1)));
if (args is ["--beside", var baseline])
    OverheadTable.Print(BenchmarkRunner.Run<ProviderOverhead>(config), baseline, "libtorch alone");
else if (args is ["--solvers-beside", var recorded])
    OverheadTable.Print(BenchmarkRunner.Run<SolverSteps>(config), recorded, "diffusers");
else
    BenchmarkSwitcher.FromAssembly(typeof(ProviderOverhead).Assembly).Run(args, config);
