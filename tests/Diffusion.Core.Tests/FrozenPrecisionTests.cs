using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class FrozenPrecisionTests
{
    [Fact]
    public void Norms_that_are_not_trained_keep_every_bit_when_the_rest_computes_in_bfloat16()
    {
        const float unlikeBFloat16 = 1.0001f;
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetOptions { ImageSize = 8, Channels = 1, Width = 8, Multipliers = [1, 1] });
        using (no_grad())
        {
            foreach (var parameter in Norms(unet))
                parameter.fill_(unlikeBFloat16);
        }

        foreach (var parameter in Norms(unet))
            parameter.requires_grad = false;

        using var trainer = new DdpmTrainer(
            unet, DiscreteSchedule.Linear(), new SimpleLoss(), new TrainerOptions { Precision = Precision.BFloat16 });

        Norms(unet).Should().NotBeEmpty();
        foreach (var parameter in Norms(unet))
            parameter.data<float>().Should().OnlyContain(value => value == unlikeBFloat16);
    }

    private static IEnumerable<TorchSharp.Modules.Parameter> Norms(UNet unet)
        => unet.modules().OfType<IFullPrecisionModule>().SelectMany(norm => norm.FullPrecisionParameters);
}
