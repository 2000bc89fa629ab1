using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Conv2d : Convolution
{
    internal Conv2d(
        long in_channels,
        long out_channels,
        (long, long) kernel_size,
        (long, long) stride,
        (long, long) padding,
        (long, long) dilation,
        long groups,
        bool bias,
        Device? device,
        ScalarType? dtype)
        : base(nameof(Conv2d), in_channels, out_channels, Both(kernel_size), Both(stride), Both(padding), Both(dilation), groups, bias, device, dtype)
    {
    }

    public override Tensor forward(Tensor input)
    {
        var shape = input.shape;
        if (!(shape.Length == 4 && shape[1] == in_channels) && !(shape.Length == 3 && shape[0] == in_channels))
            throw new ArgumentException($"Expected 3D (unbatched) or 4D (batched) input with {in_channels} channels to Conv2d.");
        return nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups);
    }

    private static long[] Both((long First, long Second) pair) => [pair.First, pair.Second];
}
