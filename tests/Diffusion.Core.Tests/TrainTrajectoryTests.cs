using System.Globalization;
using System.Text.RegularExpressions;
using Diffusion.Core.Diffusers;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>PyTorch's own AdamW, clipping and averaging on diffusers' U-Net, step by step.</summary>
[Trait(Category.Name, Category.Golden)]
public class TrainTrajectoryTests
{
    private const string Folder = "models/train-trajectory";

    [Fact]
    public void Losses_gradient_norms_weights_and_averages_are_those_of_PyTorch()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Path.Combine(TestData.Golden, Folder, "io.safetensors"));
        var io = file.ReadAll();
        using var model = DiffusersModel.Load(Path.Combine(TestData.Golden, Folder));
        var unet = (UNet)model.Network;
        var start = unet.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.detach().clone());
        var (schedule, options) = Settings(file.Metadata);
        var loss = new ReplayLoss(new SimpleLoss(), io["t"], io["noise"]);
        using var trainer = new DdpmTrainer(unet, schedule, loss, options);
        var losses = io["losses"].data<float>().ToArray();
        var norms = io["grad_norms"].data<float>().ToArray();

        for (var step = 0; step < losses.Length; step++)
        {
            using var batch = new Batch(io["x0"].select(0, step));
            trainer.TrainStep(batch);
            trainer.LastLoss.Should().BeApproximately(losses[step], 1e-5 * losses[step], "loss of step {0}", step);
            trainer.LastGradientNorm.Should().BeApproximately(norms[step], 1e-5 * norms[step], "norm of step {0}", step);
        }

        Compare(io, "final.", unet.state_dict(), start);
        using (trainer.Ema.BeginInference())
            Compare(io, "ema.", unet.state_dict(), start);
    }

    /// <summary>The norm of the error of each tensor, relative to that of the way it went: single elements of almost no gradient may go anywhere.</summary>
    private static void Compare(Dictionary<string, Tensor> io, string prefix, Dictionary<string, Tensor> actual, Dictionary<string, Tensor> start)
    {
        var names = io.Keys.Where(key => key.StartsWith(prefix, StringComparison.Ordinal)).Select(key => key[prefix.Length..]).ToArray();
        names.Should().NotBeEmpty();
        var farthest = names.Max(name => Norm(io[prefix + name].sub(start[name])));
        foreach (var name in names)
        {
            var expected = io[prefix + name];
            // What all keys share does not change a softmax: the gradient of their bias is rounding alone, which Adam makes steps of.
            var moved = name.EndsWith("to_k.bias", StringComparison.Ordinal) ? 1e3f * farthest : Norm(expected.sub(start[name]));
            (Norm(actual[name].detach().sub(expected)) / moved).Should().BeLessThan(5e-4f, "{0}{1}", prefix, name);
        }

        static float Norm(Tensor values) => values.pow(2).sum().sqrt().item<float>();
    }

    private static (DiscreteSchedule Schedule, TrainerOptions Options) Settings(IReadOnlyDictionary<string, string> metadata)
    {
        const string Number = @"([-+.\de]*\d)";
        var adam = Match(metadata["optimizer"], $@"AdamW lr={Number} betas=\({Number},\s*{Number}\) eps={Number} weight_decay={Number}");
        var schedule = Match(metadata["loss"], $@"linear schedule {Number}\.\.{Number}, T={Number}");
        var ema = Match(metadata["ema"], $@"\(1-{Number}\)");
        var clip = Match(metadata["clip_grad_norm"], Number);
        var options = new TrainerOptions
        {
            LearningRate = adam[0],
            WarmupSteps = 0,
            Optimizer = new AdamW { Beta1 = adam[1], Beta2 = adam[2], Epsilon = adam[3], WeightDecay = adam[4] },
            ParameterGroups = [],
            MaxGradNorm = clip[0],
            Ema = EmaDecay.Constant(ema[0]),
        };
        return (DiscreteSchedule.Linear((int)schedule[2], schedule[0], schedule[1]), options);
    }

    private static double[] Match(string text, string pattern)
    {
        var match = Regex.Match(text, pattern);
        match.Success.Should().BeTrue("'{0}' should read like {1}", text, pattern);
        return [.. match.Groups.Values.Skip(1).Select(group => double.Parse(group.Value, CultureInfo.InvariantCulture))];
    }
}
