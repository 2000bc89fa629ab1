using System.Reflection;
using TorchSharp;
using Xunit.v3;

[assembly: Diffusion.Core.Testing.SeededDraws]

namespace Diffusion.Core.Testing;

/// <summary>
/// Seeds the default generator of TorchSharp before each test, and after it for the constructor of the next one, so that no test depends on
/// unseeded draws, such as those of the initial weights of a network.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class SeededDrawsAttribute : BeforeAfterTestAttribute
{
    private const long Seed = 20_260_101;

    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => torch.manual_seed(Seed);

    public override void After(MethodInfo methodUnderTest, IXunitTest test) => torch.manual_seed(Seed);
}
