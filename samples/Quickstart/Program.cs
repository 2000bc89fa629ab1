using System.CommandLine;
using Quickstart;

// The step at hand is finished and the state saved before the process ends, however slow the machine.
var configuration = new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(1) };
return await CommandLine.Create(QuickstartRun.Execute).Parse(args).InvokeAsync(configuration);
