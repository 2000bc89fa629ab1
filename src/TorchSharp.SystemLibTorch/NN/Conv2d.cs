using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Conv2d : Convolution
{
    private readonly long _channels;
    private readonly long[] _stride;
    private readonly long[] _padding;
    private readonly long[] _dilation;
    private readonly long _groups;

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
        (_channels, _groups) = (in_channels, groups);
        (_stride, _padding, _dilation) = ([stride, stride], [padding, padding], [dilation, dilation]);
    }

    public override Tensor forward(Tensor input)
    {
        var shape = input.shape;
        if (!(shape.Length == 4 && shape[1] == _channels) && !(shape.Length == 3 && shape[0] == _channels))
            throw new ArgumentException($"Expected 3D (unbatched) or 4D (batched) input with {_channels} channels to Conv2d.");
        return nn.functional.conv2d(input, weight, bias, _stride, _padding, _dilation, _groups);
    }
}
