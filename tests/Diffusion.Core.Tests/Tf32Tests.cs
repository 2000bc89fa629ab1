using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>The switches are libtorch's, and there with no GPU too. Nothing else in these tests looks at them.</summary>
public class Tf32Tests
{
    [Fact]
    public void The_option_sets_both_switches_and_null_leaves_them_alone()
    {
        var before = Switches;
        try
        {
            foreach (var (option, expected) in ((bool?, bool)[])[(true, true), (null, true), (false, false), (null, false)])
            {
                using (var model = new TinyDenoiser())
                using (Runs.Trainer(model, Runs.Options with { AllowTf32 = option }))
                    Switches.Should().Be((expected, expected));
                Switches.Should().Be((expected, expected), "it outlasts the trainer");
            }

            (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) = (false, true);
            using var other = new TinyDenoiser();
            using var trainer = Runs.Trainer(other);
            Switches.Should().Be((false, true));
        }
        finally
        {
            (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) = before;
        }
    }

    private static (bool Products, bool Convolutions) Switches => (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32);
}
