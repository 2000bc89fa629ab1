using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public sealed class GradientsTests
{
    [Fact]
    public void The_gradient_of_an_input_is_that_of_the_sum_or_of_the_product_with_a_vector()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 1.0, 2.0 }).requires_grad_();
        var y = x.pow(3.0);

        Gradients.OfInput(y, x, retainGraph: true)!.Values().Should().Equal(3.0, 12.0);
        Gradients.OfInput(y, x, tensor(new[] { 2.0, -1.0 }))!.Values().Should().Equal(6.0, -12.0);

        x.grad.Should().BeNull();
    }

    [Fact]
    public void Parameters_keep_their_gradients()
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(2).requires_grad_(), ones(2).requires_grad_());
        Gradients.Backward(x.mul(weight).sum());
        var before = weight.grad!.Values();

        Gradients.OfInput(x.mul(weight), x).Should().NotBeNull();

        weight.grad!.Values().Should().Equal(before);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_output_that_does_not_depend_on_the_input_has_no_gradient(bool trained)
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(2).requires_grad_(), ones(2, requires_grad: trained));
        var y = x.detach().mul(weight);

        Gradients.OfInput(y, x, retainGraph: true).Should().BeNull();
        Gradients.DifferentiableOfInput(y, x).Should().BeNull();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_differentiable_gradient_has_gradients_also_through_a_checkpoint(bool checkpointed)
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 1.0, 2.0 }).requires_grad_();
        var half = x.mul(0.5);
        var y = checkpointed ? GradientCheckpointing.Run(v => v.pow(3.0), half) : half.pow(3.0);

        var gradient = Gradients.DifferentiableOfInput(y, x)!;

        gradient.Values().Should().Equal(0.375, 1.5);
        Gradients.OfInput(gradient, x)!.Values().Should().Equal(0.75, 1.5);
    }

    [Fact]
    public void A_checkpoint_repeats_its_random_numbers_in_a_differentiable_gradient()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var dropout = new SeededDropout(0.5);
        var x = ones(64).requires_grad_();
        var y = GradientCheckpointing.Run(v => dropout.call(v).pow(2.0), x);

        var gradient = Gradients.DifferentiableOfInput(y, x)!;

        gradient.Values().Should().Equal(y.mul(2.0).Values());
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_fails_in_a_checkpoint_is_thrown()
    {
        using var scope = NewDisposeScope();
        Tensor Output(Tensor x)
        {
            var calls = 0;
            return GradientCheckpointing.Run(v => ++calls == 1 ? v.mul(2) : throw new InvalidOperationException("no second time"), x);
        }

        var x = ones(2).requires_grad_();
        foreach (var compute in (Action[])
        [
            () => Gradients.OfInput(Output(x), x),
            () => Gradients.DifferentiableOfInput(Output(x), x),
            () => Gradients.Backward(Output(x).sum()),
        ])
        {
            compute.Should().Throw<InvalidOperationException>().WithMessage("no second time");
        }

        x.grad.Should().BeNull();
    }

    [Fact]
    public void No_tensor_is_left()
    {
        using var x = ones(2).requires_grad_();
        LiveTensors.Change(() =>
        {
            using var y = x.exp();
            using var gradient = Gradients.DifferentiableOfInput(y, x);
            using var second = Gradients.OfInput(gradient!, x);
        }).Should().Be(0);
    }
}
