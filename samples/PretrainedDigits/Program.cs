using PretrainedDigits;

return await CommandLine.Create(PretrainedDigitsRun.Execute).Parse(args).InvokeAsync();
