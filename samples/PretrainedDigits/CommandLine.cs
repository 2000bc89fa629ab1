using System.CommandLine;

namespace PretrainedDigits;

/// <summary>The options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<PretrainedDigitsOptions, CancellationToken, int> run)
    {
        var model = new Option<string>("--model") { Description = "A pipeline folder of diffusers with a class-conditional U-Net.", DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "mnist-ddpm") };
        var output = new Option<string>("--output") { Description = "Where the pictures go.", DefaultValueFactory = _ => "runs/pretrained-digits" };
        var columns = new Option<int>("--columns") { Description = "Samples of each digit.", DefaultValueFactory = _ => 10 };
        var ddim = new Option<int>("--ddim-steps") { Description = "Steps of DDIM.", DefaultValueFactory = _ => 50 };
        var dpm = new Option<int>("--dpm-steps") { Description = "Steps of DPM-Solver++.", DefaultValueFactory = _ => 20 };
        var guidance = new Option<double>("--guidance") { Description = "The scale of classifier-free guidance; 1 is none, and half the work.", DefaultValueFactory = _ => 1.0 };
        var seed = new Option<long>("--seed") { Description = "Fixes every random draw.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:N.", DefaultValueFactory = _ => "cpu" };
        AtLeast(columns, 1);
        AtLeast(ddim, 1);
        AtLeast(dpm, 1);

        var command = new RootCommand("Draws digits with a network that was trained in Python, by DDIM and by DPM-Solver++.")
        {
            model, output, columns, ddim, dpm, guidance, seed, device,
        };
        command.SetAction((parsed, cancellation) =>
        {
            var options = new PretrainedDigitsOptions
            {
                Model = parsed.GetRequiredValue(model),
                Output = parsed.GetRequiredValue(output),
                Columns = parsed.GetRequiredValue(columns),
                DdimSteps = parsed.GetRequiredValue(ddim),
                DpmSteps = parsed.GetRequiredValue(dpm),
                Guidance = parsed.GetRequiredValue(guidance),
                Seed = parsed.GetRequiredValue(seed),
                Device = parsed.GetRequiredValue(device),
            };
            // On another thread: Ctrl-C is listened for once this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }

    private static void AtLeast(Option<int> option, int least)
        => option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < least)
                result.AddError($"{option.Name} must be at least {least}, got {result.GetValueOrDefault<int>()}.");
        });
}
