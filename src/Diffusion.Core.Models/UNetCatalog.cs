namespace Diffusion.Core.Models;

/// <summary>The options of well-known networks.</summary>
public static class UNetCatalog
{
    /// <summary>CIFAR-10 of Ho et al. 2020, in the form of the checkpoint google/ddpm-cifar10-32. 35,746,307 parameters.</summary>
    public static UNetOptions DdpmCifar10 { get; } = new()
    {
        LevelWidths = [128, 256, 256, 256],
        AttentionResolutions = [16],
        DownsamplePadding = 0,
        TimeEncoding = TimeEncoding.Sinusoidal(flipSinToCos: false, frequencyShift: 1),
        NormEpsilon = 1e-6,
        Dropout = 0.1,
    };
}
