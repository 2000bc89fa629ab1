using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Every transformer that denoises images, small, and what it takes.</summary>
internal static class SmallTransformers
{
    public const int Classes = 3;
    public const int VectorWidth = 4;

    private static readonly Dictionary<string, TransformerOptions> Architectures = new(StringComparer.Ordinal)
    {
        ["DiT"] = new DiTOptions { ImageSize = 8, Width = 8, Depth = 2, Heads = 2 },
        ["DiT, one embedding"] =
            new DiTOptions { ImageSize = 8, PatchSize = 4, Width = 8, Depth = 2, Heads = 1, SharedEmbedding = true, NormAffine = true },
        ["UViT"] = new UViTOptions { ImageSize = 8, Width = 8, Depth = 3, Heads = 2 },
        ["ViT"] = new ViTDenoiserOptions { ImageSize = 8, Width = 8, Depth = 2, Heads = 2 },
        ["ViT, condition in tokens"] = new ViTDenoiserOptions { ImageSize = 8, Width = 8, Depth = 2, Heads = 4, ConditionTokens = true },
        ["Swin"] = new SwinDenoiserOptions { Width = 8, Depths = [2, 1], Heads = [2, 2], WindowSize = 2 },
    };

    public static TheoryData<string> Names => [.. Architectures.Keys];

    /// <summary>A network none of whose parameters is zero.</summary>
    public static DenoisingNetwork Make(
        string name, double labelDropout = 1e-9, double dropout = 0, long seed = 7, bool checkpoint = false)
    {
        random.manual_seed(seed);
        var options = Architectures[name] with
        {
            Channels = 1,
            OutChannels = 2,
            Classes = Classes,
            VectorWidth = VectorWidth,
            LabelDropout = labelDropout,
            Dropout = dropout,
            UseGradientCheckpointing = checkpoint,
        };
        DenoisingNetwork network = options switch
        {
            DiTOptions dit => new DiT(dit),
            UViTOptions uvit => new UViT(uvit),
            ViTDenoiserOptions vit => new ViTDenoiser(vit),
            SwinDenoiserOptions swin => new SwinDenoiser(swin),
            _ => throw new NotSupportedException(name),
        };
        using var guard = no_grad();
        foreach (var (_, parameter) in network.named_parameters())
        {
            using var noise = randn_like(parameter);
            noise.mul_(parameter.dim() < 2 ? 0.3 : 1 / Math.Sqrt(parameter.numel() / parameter.shape[0]));
            parameter.add_(noise);
        }

        return network;
    }

    public static (Tensor X, Tensor T, Condition Condition) Inputs(int batch, int height, int width, ScalarType type) => (
        randn([batch, 1, height, width], dtype: type),
        tensor(Enumerable.Range(0, batch).Select(k => (k * 131L) + 5).ToArray()),
        Condition.Create(
            labels: tensor(Enumerable.Range(0, batch).Select(k => (long)(k % Classes)).ToArray()),
            vector: randn([batch, VectorWidth], dtype: type)));

    public static double Largest(Tensor values)
    {
        using var scope = NewDisposeScope();
        return values.to(ScalarType.Float64).abs().max().item<double>();
    }
}
