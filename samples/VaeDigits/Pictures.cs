using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using TorchSharp;

namespace VaeDigits;

/// <summary>Saves images of reconstructed digits, of samples, and of the latent plane.</summary>
internal static class Pictures
{
    private const int Columns = 12;
    private const int Side = 20;
    private const double Extent = 2.2;

    /// <summary>Saves pairs of rows: binary test digits in the upper row, and their reconstructions in the lower row.</summary>
    public static void DrawReconstructions(IAutoencoder vae, IDataset test, VaeDigitsOptions options)
    {
        using var scope = torch.NewDisposeScope();
        using var gradientsOff = torch.no_grad();
        using var generator = new torch.Generator((ulong)options.Seed);
        var rows = new List<torch.Tensor>();
        for (var first = 0; first < 4 * Columns; first += Columns)
        {
            using var batch = test.Load([.. Enumerable.Range(first, Columns)]);
            var binary = DynamicBinarization.Draw(batch.Samples, generator).to(vae.Device ?? torch.CPU);
            using var code = vae.Encode(binary);
            rows.Add(Grey(binary));
            rows.Add(Grey(vae.Decode(code.Mode).sigmoid()));
        }

        ImageGrid.SavePng(torch.cat(rows), options.File("reconstructions.png"), columns: Columns, scale: 2);
    }

    /// <summary>Saves the pixel probabilities of latents drawn from N(0, I).</summary>
    public static void DrawPriorSamples(IAutoencoder vae, VaeDigitsOptions options)
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator((ulong)options.Seed);
        var codes = torch.randn([Columns * Columns, options.LatentFeatures], generator: generator);
        Save(vae, codes, Columns, options.File("samples.png"));
    }

    /// <summary>Saves the pixel probabilities of an evenly spaced grid of latents with two features.</summary>
    public static void DrawPlane(IAutoencoder vae, VaeDigitsOptions options)
    {
        using var scope = torch.NewDisposeScope();
        var codes = new float[Side * Side * 2];
        for (var i = 0; i < Side * Side; i++)
        {
            codes[2 * i] = At(i % Side);
            codes[(2 * i) + 1] = -At(i / Side);
        }

        using var averaged = vae.BeginInference();
        Save(vae, torch.tensor(codes, [Side * Side, 2]), Side, options.File("latent-plane.png"));

        static float At(int place) => (float)(((2.0 * place / (Side - 1)) - 1.0) * Extent);
    }

    private static void Save(IAutoencoder vae, torch.Tensor codes, int columns, string path)
    {
        using var gradientsOff = torch.no_grad();
        var images = vae.Decode(codes.to(vae.Device ?? torch.CPU)).sigmoid();
        ImageGrid.SavePng(Grey(images), path, columns: columns, padding: 1, scale: 2);
    }

    /// <summary>Converts probabilities in [0, 1] to pixel values in [-1, 1].</summary>
    private static torch.Tensor Grey(torch.Tensor probabilities)
    {
        using Scalar two = 2, one = 1;
        return probabilities.mul(two).sub(one);
    }
}
