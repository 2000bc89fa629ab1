using PretrainedDigits;
using Samples;

Terminal.Configure();
return await CommandLine.Create(PretrainedDigitsRun.Execute).Parse(args).InvokeAsync();
