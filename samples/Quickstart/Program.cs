using System.CommandLine;
using Diffusion.Core;
using Quickstart;

// The current step is finished and the state saved before the process ends; a second signal ends it at once.
using var stop = new StopSignals();
var configuration = new InvocationConfiguration { ProcessTerminationTimeout = null };
var result = await CommandLine.Create((options, _) => QuickstartRun.Execute(options, stop.Token)).Parse(args).InvokeAsync(configuration);
return result == 0 ? 0 : stop.ExitCode ?? result;
