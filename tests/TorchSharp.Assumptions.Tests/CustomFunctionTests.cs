using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Functions with a custom backward pass.</summary>
public class CustomFunctionTests
{
    [Fact]
    public void Apply_leaves_two_tensors_to_the_scope_that_it_is_called_in()
    {
        using var x = ones([3]).requires_grad_();

        Values.LiveTensors(() => Double.apply(x).Dispose()).Should().Be(2, "the result of forward stays, and an empty tensor of its shape");
        Values.LiveTensors(() =>
        {
            using var scope = NewDisposeScope();
            Double.apply(x).MoveToOuterDisposeScope().Dispose();
        }).Should().Be(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Missing_gradients_are_zeros_unless_set_materialize_grads_is_off(bool materialize)
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        var defined = new List<bool>();

        var results = Pair.apply(x, materialize, defined);
        results[1].sum().backward();

        defined.Should().Equal(materialize, true);
        x.grad!.ShouldHold(7, 7);
    }

    [Fact]
    public void Nothing_frees_the_gradients_that_a_backward_pass_receives_and_returns()
    {
        using var x = ones([3]).requires_grad_();
        using var scope = NewDisposeScope();
        var seen = new List<Tensor>();

        Watched.apply(x, seen).sum().backward();

        seen.Should().HaveCount(2).And.OnlyContain(gradient => !gradient.IsInvalid);
        seen.ForEach(gradient => gradient.Dispose());
        x.grad!.ShouldHold(2, 2, 2);
    }

    [Fact]
    public void A_gradient_of_the_wrong_shape_is_an_error_of_backward()
    {
        using var scope = NewDisposeScope();
        var y = WrongShape.apply(zeros([2]).requires_grad_());

        FluentActions.Invoking(() => y.backward()).Should().Throw<ExternalException>().WithMessage("*invalid gradient*");
    }

    private sealed class Double : autograd.SingleTensorFunction<Double>
    {
        public override string Name => nameof(Double);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars) => ((Tensor)vars[0]).mul(2);

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output) => [grad_output.mul(2)];
    }

    private sealed class Watched : autograd.SingleTensorFunction<Watched>
    {
        public override string Name => nameof(Watched);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("seen", vars[1]);
            return ((Tensor)vars[0]).mul(2);
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var returned = grad_output.mul(2).DetachFromDisposeScope();
            ((List<Tensor>)ctx.get_data("seen")!).AddRange([grad_output.DetachFromDisposeScope(), returned]);
            return [returned, null];
        }
    }

    private sealed class Pair : autograd.MultiTensorFunction<Pair>
    {
        public override string Name => nameof(Pair);

        public override List<Tensor> forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.set_materialize_grads((bool)vars[1]);
            ctx.save_data("defined", vars[2]);
            var x = (Tensor)vars[0];
            return [x.mul(5), x.mul(7)];
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, List<Tensor> grad_outputs)
        {
            ((List<bool>)ctx.get_data("defined")!).AddRange(grad_outputs.Select(gradient => !gradient.IsInvalid));
            return [grad_outputs[1].mul(7), null, null];
        }
    }

    private sealed class WrongShape : autograd.SingleTensorFunction<WrongShape>
    {
        public override string Name => nameof(WrongShape);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars) => ((Tensor)vars[0]).sum();

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output) => [zeros([3])];
    }
}
