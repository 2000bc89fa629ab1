using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Conv2d : Convolution
{
    internal Conv2d(
        long in_channels,
        long out_channels,
        long kernel_size,
        long stride,
        long padding,
        long dilation,
        long groups,
        bool bias,
        Device? device,
        ScalarType? dtype)
        : base(nameof(Conv2d), in_channels, out_channels, [kernel_size, kernel_size], groups, bias, device, dtype)
    {
        (this.in_channels, this.groups) = (in_channels, groups);
        (this.stride, this.padding, this.dilation) = ([stride, stride], [padding, padding], [dilation, dilation]);
    }

    public long in_channels { get; }

    public long[] stride { get; set; }

    public long[]? padding { get; private set; }

    public long[] dilation { get; set; }

    public long groups { get; set; }

    public PaddingModes padding_mode { get; set; }

    public override Tensor forward(Tensor input)
    {
        var shape = input.shape;
        if (!(shape.Length == 4 && shape[1] == in_channels) && !(shape.Length == 3 && shape[0] == in_channels))
            throw new ArgumentException($"Expected 3D (unbatched) or 4D (batched) input with {in_channels} channels to Conv2d.");
        return nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups);
    }
}
