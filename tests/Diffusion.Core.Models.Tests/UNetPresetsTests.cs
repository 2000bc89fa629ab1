namespace Diffusion.Core.Models.Tests;

public class UNetPresetsTests
{
    /// <summary>The network, its first width, first widths that take little memory, and its parameters.</summary>
    public static TheoryData<string, int, int[], long> Networks => new()
    {
        { nameof(UNetPresets.DdpmCifar10), 128, [4, 8, 12], 35_746_307 },
        { nameof(UNetPresets.ImprovedDdpmCifar10), 128, [4, 8, 12], 52_546_438 },
        { nameof(UNetPresets.AdmImageNet64), 192, [4, 8, 12], 295_904_454 },
        { nameof(UNetPresets.NcsnppCelebA256), 128, [16, 32, 64], 65_574_421 },
        { nameof(UNetPresets.StableDiffusion1), 320, [4, 8, 12], 859_520_964 },
        { nameof(UNetPresets.StableDiffusion2), 320, [4, 8, 12], 865_910_724 },
        { nameof(UNetPresets.StableDiffusionXL), 320, [4, 8, 12], 2_567_463_684 },
    };

    // The number of parameters is a polynomial of second degree in the widths, so that three small networks of the same structure tell that
    // of the large one, without its memory.
    [Theory]
    [MemberData(nameof(Networks))]
    public void The_number_of_parameters_is_the_published_one(string name, int width, int[] samples, long expected)
    {
        var layout = Named(name);
        layout.Levels[0].Width.Should().Be(width);
        var counts = Array.ConvertAll(samples, sample =>
        {
            using var unet = new UNet(Scaled(layout, sample, width));
            return ModuleWeights.Count(unet);
        });

        Int128 sum = 0;
        Int128 whole = Enumerable.Range(0, 3).Aggregate((Int128)1, (product, i) => product * Denominator(i));
        for (var i = 0; i < 3; i++)
        {
            Int128 numerator = counts[i];
            for (var j = 0; j < 3; j++)
                numerator *= j == i ? 1 : width - samples[j];
            sum += numerator * (whole / Denominator(i));
        }

        (sum % whole).Should().Be((Int128)0);
        ((long)(sum / whole)).Should().Be(expected);

        Int128 Denominator(int i) => Enumerable.Range(0, 3).Where(j => j != i)
            .Aggregate((Int128)1, (product, j) => product * (samples[i] - samples[j]));
    }

    [Fact]
    public void Heads_and_groups_divide_the_widths()
    {
        foreach (var row in Networks)
        {
            var layout = Named(row.Data.Item1);
            foreach (var level in layout.Levels)
            {
                (level.Width % layout.Groups()).Should().Be(0);
                if (level.Down is UNetBlockOptions { Attention: SpatialTransformerOptions { Heads: var heads } })
                    (level.Width % heads).Should().Be(0);
                if (level.Down is UNetBlockOptions { Attention: SelfAttentionOptions { HeadWidth: { } headWidth } })
                    (level.Width % headWidth).Should().Be(0);
            }
        }
    }

    private static UNetLayout Named(string name)
    {
        var preset = typeof(UNetPresets).GetProperty(name)!.GetValue(null);
        return preset as UNetLayout ?? ((UNetOptions)preset!).ToLayout();
    }

    private static UNetLayout Scaled(UNetLayout layout, int width, int original) => layout with
    {
        GroupNormGroups = 1,
        Levels = [.. layout.Levels.Select(level => level with
        {
            Width = level.Width * width / original,
            Down = SingleHead(level.Down),
        })],
        Middle = SingleHead(layout.Middle),
    };

    // Heads change no counts.
    private static IUNetBlockOptions SingleHead(IUNetBlockOptions block) => block is not UNetBlockOptions usual ? block : usual with
    {
        Attention = usual.Attention switch
        {
            SelfAttentionOptions self => self with { HeadWidth = null },
            SpatialTransformerOptions transformer => transformer with { Heads = 1 },
            var other => other,
        },
    };
}
