using static TorchSharp.torch;

namespace TorchSharp.Modules;

public sealed class Conv1d : Convolution
{
    private readonly long _channels;
    private readonly long _stride;
    private readonly long _padding;
    private readonly long _dilation;
    private readonly long _groups;

    internal Conv1d(
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
        : base(nameof(Conv1d), in_channels, out_channels, [kernel_size], groups, bias, device, dtype)
    {
        (_channels, _groups) = (in_channels, groups);
        (_stride, _padding, _dilation) = (stride, padding, dilation);
    }

    public override Tensor forward(Tensor input)
    {
        var shape = input.shape;
        if (!(shape.Length == 3 && shape[1] == _channels) && !(shape.Length == 2 && shape[0] == _channels))
            throw new ArgumentException($"Expected 2D (unbatched) or 3D (batched) input with {_channels} channels to Conv1d.");
        return nn.functional.conv1d(input, weight, bias, _stride, _padding, _dilation, _groups);
    }
}
