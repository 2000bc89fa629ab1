using System.CommandLine;
using Samples;

namespace PretrainedDigits;

/// <summary>The command-line options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<PretrainedDigitsOptions, CancellationToken, int> run)
    {
        var model = new Option<string?>("--model") { Description = "The folder of a diffusers pipeline with a class-conditional U-Net (default: the network of the sample)." };
        var output = new Option<string>("--output") { Description = "The folder for the images.", DefaultValueFactory = _ => "runs/pretrained-digits" };
        var columns = new Option<int>("--columns") { Description = "The number of samples of each digit.", DefaultValueFactory = _ => 10 };
        var ddim = new Option<int>("--ddim-steps") { Description = "The number of DDIM steps.", DefaultValueFactory = _ => 50 };
        var dpm = new Option<int>("--dpm-steps") { Description = "The number of DPM-Solver++ steps.", DefaultValueFactory = _ => 20 };
        var guidance = new Option<double>("--guidance") { Description = "The scale of classifier-free guidance. With 1, there is no guidance, and sampling takes half the time.", DefaultValueFactory = _ => 1.0 };
        var seed = new Option<long>("--seed") { Description = "The seed of all random numbers.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "The device: cpu, cuda or cuda:N.", DefaultValueFactory = _ => "cpu" };
        NumberOptions.Check(columns, least: 1);
        NumberOptions.Check(ddim, least: 1);
        NumberOptions.Check(dpm, least: 1);
        NumberOptions.Check(guidance);
        NumberOptions.Check(seed);

        var command = new RootCommand("Samples digits by DDIM and by DPM-Solver++ from a network that was trained in Python.")
        {
            model, output, columns, ddim, dpm, guidance, seed, device,
        };
        command.SetAction((parsed, cancellation) =>
        {
            var options = new PretrainedDigitsOptions
            {
                Model = parsed.GetValue(model) ?? Path.Combine(AppContext.BaseDirectory, "mnist-ddpm"),
                Output = parsed.GetRequiredValue(output),
                Columns = parsed.GetRequiredValue(columns),
                DdimSteps = parsed.GetRequiredValue(ddim),
                DpmSteps = parsed.GetRequiredValue(dpm),
                Guidance = parsed.GetRequiredValue(guidance),
                Seed = parsed.GetRequiredValue(seed),
                Device = parsed.GetRequiredValue(device),
            };
            // On another thread, because System.CommandLine handles Ctrl-C only after this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }
}
