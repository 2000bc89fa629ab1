using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class GaussianMathTests
{
    [Fact]
    [Trait(Category.Name, Category.Golden)]
    public void Likelihood_and_divergence_are_those_of_the_reference()
    {
        using var scope = torch.NewDisposeScope();
        using var golden = new GoldenFile("process/likelihood.safetensors");

        var likelihood = GaussianMath.DiscretisedLogLikelihood(golden.Read("x"), golden.Read("means"), golden.Read("log_scales").mul(2.0));
        var kl = GaussianMath.Kl(golden.Read("m1"), golden.Read("l1"), golden.Read("m2"), golden.Read("l2"));

        RelativeError.OfEach(likelihood.data<double>().ToArray(), golden.Values("dgll")).Should().BeLessThan(1e-9);
        RelativeError.OfEach(kl.data<double>().ToArray(), golden.Values("kl")).Should().BeLessThan(1e-9);
    }
}
