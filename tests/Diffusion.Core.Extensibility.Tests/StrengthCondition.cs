using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom condition: [B] how strongly each sample was degraded.</summary>
internal sealed class StrengthCondition(Tensor strength) : Condition
{
    public Tensor Strength => strength;

    public override StrengthCondition To(Device device) => new(strength.to(device, copy: true));

    public override StrengthCondition To(ScalarType dtype) => new(strength.to(dtype, copy: true));

    public override StrengthCondition Slice(long start, long count) => new(strength.narrow(0, start, count).clone());

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
            strength.Dispose();
    }
}
