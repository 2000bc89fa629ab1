using Quickstart;

return await CommandLine.Create(QuickstartRun.Execute).Parse(args).InvokeAsync();
