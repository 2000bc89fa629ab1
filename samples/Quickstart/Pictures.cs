using Diffusion.Core.Data;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using TorchSharp;

namespace Quickstart;

/// <summary>Samples images from the trained network.</summary>
internal static class Pictures
{
    private const int Digits = 10;
    private const int Frames = 10;

    public static void Draw(DiffusionModel model, DdimSampler sampler, QuickstartOptions options)
    {
        DrawDigits(model, sampler, options);
        DrawDenoising(model, sampler, options);
    }

    public static int Scale(QuickstartOptions options) => Math.Max(1, 64 / options.ImageSize);

    private static void DrawDigits(DiffusionModel model, DdimSampler sampler, QuickstartOptions options)
    {
        var labels = new long[Digits * options.Columns];
        for (var i = 0; i < labels.Length; i++)
            labels[i] = i / options.Columns;
        using var condition = Condition.OfLabels(labels);
        using var images = sampler.Sample(model, [labels.Length, 1, options.ImageSize, options.ImageSize], options.Seed, condition);
        ImageGrid.SavePng(images, options.File("samples.png"), columns: options.Columns, scale: Scale(options));
    }

    /// <summary>
    /// Saves one sample at several steps: the upper row shows the noisy sample, and the lower row the prediction of x_0 at the same step.
    /// </summary>
    private static void DrawDenoising(DiffusionModel model, DdimSampler sampler, QuickstartOptions options)
    {
        using var scope = torch.NewDisposeScope();
        using var condition = Condition.OfLabels([3]);
        var request = new SamplingRequest { Shape = [1, 1, options.ImageSize, options.ImageSize], Seed = options.Seed, Condition = condition };
        var every = Math.Max(1, options.SamplingSteps / Frames);
        var noisy = new List<torch.Tensor>();
        var denoised = new List<torch.Tensor>();
        foreach (var step in sampler.Steps(model, request))
        {
            using var state = step;
            if (state.Denoised is null || (state.Step % every != 0 && state.Step != state.Steps))
                continue;
            noisy.Add(state.Sample.clone());
            denoised.Add(state.Denoised.clone());
        }

        ImageGrid.SavePng(torch.cat([.. noisy, .. denoised]), options.File("denoising.png"), columns: noisy.Count, scale: Scale(options));
    }
}
