using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom batch: images, the same images degraded, a mask of what counts, and a separate condition.</summary>
internal sealed class MaskedPairs(Tensor clean, Tensor degraded, Tensor mask, StrengthCondition condition) : IBatch<MaskedPairs>
{
    public Tensor Clean => clean;

    public Tensor Degraded => degraded;

    public Tensor Mask => mask;

    public StrengthCondition Condition => condition;

    public long Count => clean.shape[0];

    public MaskedPairs Slice(long first, long count) => new(
        clean.narrow(0, first, count), degraded.narrow(0, first, count), mask.narrow(0, first, count), condition.Slice(first, count));

    public MaskedPairs To(Device device, ScalarType dtype)
        => new(clean.to(dtype, device), degraded.to(dtype, device), mask.to(device), condition.To(device));

    public void Dispose()
    {
        clean.Dispose();
        degraded.Dispose();
        mask.Dispose();
        condition.Dispose();
    }
}
