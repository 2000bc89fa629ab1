using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

public class BackendTests
{
    [Fact]
    public void Tf32_is_switched_on_and_off_for_products_and_convolutions_apart()
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
