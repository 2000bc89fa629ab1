using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class LossTermsTests
{
    [Fact]
    public void Terms_are_found_by_name_in_ordinal_order()
    {
        using var terms = new LossTerms(torch.ones([3])).Add("vlb", torch.zeros([3])).Add("mse", torch.ones([3]));

        terms.Names.Should().Equal("loss", "mse", "vlb");
        terms["loss"].Should().BeSameAs(terms.Loss);
        terms.TryGet("vlb", out var vlb).Should().BeTrue();
        vlb.Should().BeSameAs(terms["vlb"]);
        terms.TryGet("kl", out var none).Should().BeFalse();
        none.Should().BeNull();
        FluentActions.Invoking(() => terms["kl"]).Should().Throw<KeyNotFoundException>().WithMessage("*'kl'*loss, mse, vlb*");
    }

    [Fact]
    public void Values_that_are_not_one_for_each_sample_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        using var terms = new LossTerms(torch.ones([3]));

        FluentActions.Invoking(() => new LossTerms(torch.tensor(1.0f))).Should().Throw<ArgumentException>().WithMessage("*got []*");
        FluentActions.Invoking(() => new LossTerms(torch.ones([3, 1]))).Should().Throw<ArgumentException>().WithMessage("*got [3, 1]*");
        FluentActions.Invoking(() => terms.Add("mse", torch.ones([4]))).Should().Throw<ArgumentException>().WithMessage("*[3], got [4]*");
        FluentActions.Invoking(() => terms.Add("loss", torch.ones([3]))).Should().Throw<ArgumentException>().WithMessage("*already*'loss'*");
        FluentActions.Invoking(() => terms.Add("", torch.ones([3]))).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new LossTerms(null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Disposing_frees_every_term()
    {
        var terms = new LossTerms(torch.ones([3])).Add("mse", torch.ones([3]));

        LiveTensors.Change(terms.Dispose).Should().Be(-2);
        FluentActions.Invoking(terms.Dispose).Should().NotThrow();
        FluentActions.Invoking(() => terms.Loss).Should().Throw<ObjectDisposedException>();
    }
}
