namespace Diffusion.Core.Samplers;

/// <summary>
/// The tables of Align Your Steps: levels optimised for ten steps of a family of models, for any number of steps by interpolation.
/// </summary>
/// <remarks>
/// Source: Sabour, Fidler and Kreis 2024, "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models", appendix.
/// </remarks>
public static class AlignYourSteps
{
    /// <summary>For Stable Diffusion 1.5.</summary>
    public static RatioSpacing StableDiffusion15 { get; } =
        RatioSpacing.Tabulated(14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152);

    /// <summary>For Stable Diffusion XL.</summary>
    public static RatioSpacing StableDiffusionXL { get; } =
        RatioSpacing.Tabulated(14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113);

    /// <summary>For Stable Video Diffusion, an EDM model.</summary>
    public static RatioSpacing StableVideoDiffusion { get; } =
        RatioSpacing.Tabulated(700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034);
}
