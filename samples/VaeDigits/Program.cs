using System.CommandLine;
using Diffusion.Core;
using VaeDigits;

// The first signal ends the run after the current step; a second signal ends the process immediately.
using var stop = new StopSignals();
var configuration = new InvocationConfiguration { ProcessTerminationTimeout = null };
var result = await CommandLine.Create((options, _) => VaeDigitsRun.Execute(options, stop.Token)).Parse(args).InvokeAsync(configuration);
return result == 0 ? 0 : stop.ExitCode ?? result;
