using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Functions with a backward pass of their own, and backward from within one.</summary>
public class CustomFunctionTests
{
    [Fact]
    public void A_function_has_the_gradient_that_it_states()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([3], 1, 2, 3).requires_grad_();
        var y = Cube.apply(x, 5.0);

        y.ShouldHold(1, 8, 27);
        y.requires_grad.Should().BeTrue();
        y.is_leaf.Should().BeFalse();
        y.sum().backward();
        x.grad!.ShouldHold(15, 60, 135);
    }

    [Fact]
    public void Its_forward_pass_runs_without_gradients_and_its_backward_pass_too()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([1], 2).requires_grad_();
        var seen = new List<bool>();
        Observed.apply(x, seen).backward();
        seen.Should().Equal(false, false);
    }

    [Fact]
    public void Where_no_gradient_is_wanted_there_is_no_node()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([1], 2).requires_grad_();
        using (no_grad())
            Cube.apply(x, 1.0).requires_grad.Should().BeFalse();
        Cube.apply(x.detach(), 1.0).requires_grad.Should().BeFalse();
    }

    [Fact]
    public void Several_results_have_gradients_of_zero_where_none_came_or_none_at_all()
    {
        foreach (var materialize in new[] { true, false })
        {
            using var scope = NewDisposeScope();
            var x = Values.Double([2], 1, 2).requires_grad_();
            var defined = new List<bool>();
            var results = Pair.apply(x, materialize, defined);
            results.Should().HaveCount(2);
            results[1].sum().backward();
            defined.Should().Equal(materialize, true);
            x.grad!.ShouldHold(7, 7);
        }
    }

    [Fact]
    public void An_input_changed_in_place_after_it_was_saved_is_refused_when_it_is_asked_for()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([1], 2);
        var errors = new List<Exception>();
        var y = Asking.apply(x, zeros([1], dtype: ScalarType.Float64).requires_grad_(), errors);
        x.add_(1);
        y.backward();
        errors.Should().ContainSingle().Which.Message.Should().Contain("modified by an inplace operation");
    }

    [Fact]
    public void A_gradient_of_the_wrong_shape_is_an_error_of_the_backward_pass()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2]).requires_grad_();
        var y = WrongShape.apply(x);
        FluentActions.Invoking(() => y.backward()).Should().Throw<ExternalException>().WithMessage("*invalid gradient*");
    }

    [Fact]
    public void A_backward_pass_can_run_another_one_that_adds_to_other_leaves()
    {
        using var scope = NewDisposeScope();
        var w = Values.Double([2], 3, 4).requires_grad_();
        var x = Values.Double([2], 1, 2).requires_grad_();
        Recomputed.apply(x, w.alias(), 0).ShouldHold(3, 8);

        Recomputed.apply(x, (Func<Tensor, Tensor>)(value => value.mul(w)), 0).sum().backward();
        w.grad!.ShouldHold(1, 2);
        x.grad!.ShouldHold(3, 4);
    }

    [Fact]
    public void A_node_lives_as_long_as_its_graph()
    {
        WeakReference data;
        using (var x = zeros([1]).requires_grad_())
        {
            var y = Kept(x, out data);
            GC.Collect();
            GC.WaitForPendingFinalizers();
            data.IsAlive.Should().BeTrue();
            y.backward();
            y.Dispose();
        }

        for (var k = 0; k < 5 && data.IsAlive; k++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        data.IsAlive.Should().BeFalse();
    }

    [Fact]
    public void The_default_generator_has_a_state_that_another_can_go_on_from()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var shared = Generator.Default;
        var state = shared.get_state();
        var expected = rand(4);
        using var copy = new Generator();
        copy.set_state(state);
        rand(4, generator: copy).ShouldHold([.. expected.data<float>().Select(value => (double)value)]);
    }

    [Fact]
    public void Backward_of_a_tensor_takes_the_gradient_to_begin_with()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2], 1, 2).requires_grad_();
        var w = Values.Double([2], 1, 1).requires_grad_();
        var y = x.mul(x).mul(w);
        y.backward([Values.Double([2], 10, 100)], retain_graph: true);
        x.grad!.ShouldHold(20, 400);
        y.backward([Values.Double([2], 1, 1)], inputs: [w]);
        x.grad!.ShouldHold(20, 400);
        w.grad!.ShouldHold(11, 404);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Tensor Kept(Tensor x, out WeakReference data)
    {
        var kept = new List<bool>();
        data = new WeakReference(kept);
        return Observed.apply(x, kept);
    }

    private sealed class Cube : autograd.SingleTensorFunction<Cube>
    {
        public override string Name => nameof(Cube);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var x = (Tensor)vars[0];
            ctx.save_for_backward([x]);
            ctx.save_data("factor", vars[1]);
            return x.pow(3);
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var x = ctx.get_saved_variables()[0];
            return [grad_output.mul(x.mul(x)).mul(3 * (double)ctx.get_data("factor")!), null];
        }
    }

    private sealed class Observed : autograd.SingleTensorFunction<Observed>
    {
        public override string Name => nameof(Observed);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ((List<bool>)vars[1]).Add(is_grad_enabled());
            ctx.save_data("seen", vars[1]);
            return ((Tensor)vars[0]).mul(2);
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            ((List<bool>)ctx.get_data("seen")!).Add(is_grad_enabled());
            return [grad_output.mul(2), null];
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

    private sealed class Asking : autograd.SingleTensorFunction<Asking>
    {
        public override string Name => nameof(Asking);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[0]]);
            ctx.save_data("errors", vars[2]);
            return ((Tensor)vars[0]).add((Tensor)vars[1]);
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            try
            {
                ctx.get_saved_variables();
            }
            catch (ExternalException e)
            {
                ((List<Exception>)ctx.get_data("errors")!).Add(e);
            }

            return [null, null, null];
        }
    }

    private sealed class WrongShape : autograd.SingleTensorFunction<WrongShape>
    {
        public override string Name => nameof(WrongShape);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars) => ((Tensor)vars[0]).sum();

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output) => [zeros([3])];
    }

    private sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
    {
        public override string Name => nameof(Recomputed);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var x = (Tensor)vars[0];
            if (vars[1] is Tensor weight)
                return x.mul(weight);
            ctx.save_for_backward([x]);
            ctx.save_data("block", vars[1]);
            return ((Func<Tensor, Tensor>)vars[1])(x);
        }

        public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var x = ctx.get_saved_variables()[0].detach().requires_grad_();
            using (enable_grad())
                ((Func<Tensor, Tensor>)ctx.get_data("block")!)(x).backward([grad_output]);
            return [x.grad, null, null];
        }
    }
}
