using System.CommandLine;
using LatentDigits;

// The step at hand is finished before the process ends, however slow the machine.
var configuration = new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(1) };
return await CommandLine.Create(LatentDigitsRun.Execute).Parse(args).InvokeAsync(configuration);
