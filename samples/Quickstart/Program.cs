using System.CommandLine;
using Diffusion.Core;
using Quickstart;
using Samples;

Terminal.Configure();

// The first signal ends the run after the current step and saves a checkpoint; a second signal ends the process immediately.
using var stop = new StopSignals();
var configuration = new InvocationConfiguration { ProcessTerminationTimeout = null };
var result = await CommandLine.Create((options, _) => QuickstartRun.Execute(options, stop.Token)).Parse(args).InvokeAsync(configuration);
return result == 0 ? 0 : stop.ExitCode ?? result;
