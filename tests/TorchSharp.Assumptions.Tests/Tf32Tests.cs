using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>The switches of TF32.</summary>
public class Tf32Tests
{
    [Fact]
    public void Products_and_convolutions_have_a_switch_each()
    {
        var (matmul, convolution) = (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32);
        try
        {
            foreach (var (first, second) in ((bool, bool)[])[(true, false), (false, true), (true, true), (false, false)])
            {
                backends.cuda.matmul.allow_tf32 = first;
                backends.cudnn.allow_tf32 = second;
                backends.cuda.matmul.allow_tf32.Should().Be(first);
                backends.cudnn.allow_tf32.Should().Be(second);
            }
        }
        finally
        {
            backends.cuda.matmul.allow_tf32 = matmul;
            backends.cudnn.allow_tf32 = convolution;
        }
    }
}
