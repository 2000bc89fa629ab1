using System.Runtime.InteropServices;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class GradientCheckpointingTests
{
    [Theory]
    [InlineData(0.0)]
    [InlineData(0.4)]
    public void Output_and_all_gradients_equal_the_plain_run_bit_for_bit(double dropout)
    {
        using var blocks = new Blocks(4, dropout);
        var plain = Gradients(blocks, checkpointed: false, seed: 5);
        var checkpointed = Gradients(blocks, checkpointed: true, seed: 5);
        ShouldEqual(checkpointed, plain);
        if (dropout > 0)
            Gradients(blocks, checkpointed: true, seed: 6)["loss"].Should().NotEqual(plain["loss"], "other masks are drawn");
    }

    [Fact]
    public void Masks_of_the_default_generator_are_drawn_again_too()
    {
        using var blocks = new Blocks(3, 0.4);
        ShouldEqual(Gradients(blocks, checkpointed: true, seed: null), Gradients(blocks, checkpointed: false, seed: null));
    }

    [Fact]
    public void Draws_after_a_block_and_after_a_backward_pass_are_those_of_the_plain_run()
    {
        using var blocks = new Blocks(2, 0.4);
        double[] After(bool checkpointed)
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(3);
            using var use = TrainingRandom.Use(generator);
            blocks.Forward(Input(), checkpointed).sum().backward();
            return rand(3, generator: generator).Values();
        }

        After(true).Should().Equal(After(false));
    }

    [Fact]
    public void Checkpoints_nest()
    {
        using var blocks = new Blocks(4, 0.3);
        var plain = Gradients(blocks, checkpointed: false, seed: 1);
        var nested = Gradients(blocks, seed: 1, forward: x => GradientCheckpointing.Run(input => blocks.Forward(input, true), x));
        ShouldEqual(nested, plain);
    }

    [Fact]
    public void Two_graphs_can_go_back_in_any_order_and_one_graph_twice()
    {
        using var blocks = new Blocks(3, 0.3);
        Dictionary<string, double[]> Run(bool checkpointed)
        {
            using var scope = NewDisposeScope();
            blocks.zero_grad();
            using var generator = new Generator(7);
            using var use = TrainingRandom.Use(generator);
            var first = blocks.Forward(Input(), checkpointed).sin().sum();
            var second = blocks.Forward(Input().mul(0.5), checkpointed).sum();
            first.backward(retain_graph: true);
            second.backward();
            first.backward();
            return blocks.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.Values());
        }

        ShouldEqual(Run(true), Run(false));
    }

    [Fact]
    public void Parameters_get_gradients_where_no_input_wants_one_and_frozen_ones_get_none()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(3, 3);
        layer.bias!.requires_grad = false;
        var x = randn(2, 3);
        GradientCheckpointing.Run(layer.call, x).sum().backward();
        var gradient = layer.weight.grad!.clone();
        layer.zero_grad();
        layer.call(x).sum().backward();
        gradient.ShouldBeIdentical(layer.weight.grad!, "weight");
        layer.bias.grad.Should().BeNull();
        x.grad.Should().BeNull();
    }

    [Fact]
    public void Inputs_may_be_absent_of_integers_or_shared_and_only_those_that_want_gradients_get_them()
    {
        using var scope = NewDisposeScope();
        var table = randn(5, 3).requires_grad_();
        var x = randn(2, 3).requires_grad_();
        var y = randn(2, 3);
        var index = tensor(new long[] { 1, 4 });
        Tensor Block(IReadOnlyList<Tensor?> inputs)
        {
            inputs[2].Should().BeNull();
            return inputs[0]!.index_select(0, inputs[1]!).mul(inputs[3]!).add(inputs[4]!);
        }

        GradientCheckpointing.Run(Block, table, index, null, x, y).pow(2).sum().backward();
        var (tableGradient, xGradient) = (table.grad!.clone(), x.grad!.clone());
        (table.grad, x.grad) = (null, null);
        Block([table, index, null, x, y]).pow(2).sum().backward();
        tableGradient.ShouldBeIdentical(table.grad!, "table");
        xGradient.ShouldBeIdentical(x.grad!, "x");
        y.grad.Should().BeNull();
    }

    [Fact]
    public void A_block_that_returns_its_input_is_an_identity()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        GradientCheckpointing.Run(input => input, x).mul(3).sum().backward();
        x.grad!.Values().Should().Equal(3, 3);
    }

    [Fact]
    public void Gradients_add_up_in_views_of_a_flat_buffer()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(2, 2, hasBias: false);
        var flat = zeros([4]);
        using (no_grad())
            layer.weight.grad = flat.view(2, 2);
        GradientCheckpointing.Run(layer.call, ones([1, 2])).sum().backward();
        GradientCheckpointing.Run(layer.call, ones([1, 2])).sum().backward();
        flat.Values().Should().Equal(2, 2, 2, 2);
    }

    [Fact]
    public void Without_gradients_the_block_simply_runs()
    {
        using var scope = NewDisposeScope();
        using var off = no_grad();
        using var layer = nn.Linear(2, 2);
        var x = ones([1, 2]);
        var y = GradientCheckpointing.Run(layer.call, x);
        y.requires_grad.Should().BeFalse();
        y.ShouldBeIdentical(layer.call(x), "output");
    }

    [Fact]
    public void A_block_runs_once_forward_and_once_back_and_not_at_all_through_a_checkpoint_that_is_not_wanted()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        foreach (var (wanted, total) in new[] { (true, 2), (false, 1) })
        {
            var calls = 0;
            var y = GradientCheckpointing.RunIf(wanted, input => { calls++; return input.mul(2); }, x);
            calls.Should().Be(1);
            y.sum().backward();
            calls.Should().Be(total);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Live_tensors_stay_constant(bool nested)
    {
        using var blocks = new Blocks(3, 0.2);
        using var scope = NewDisposeScope();
        var x = Input().DetachFromDisposeScope().requires_grad_();
        scope.Dispose();
        void Step()
        {
            using var generator = new Generator(3);
            using var use = TrainingRandom.Use(generator);
            using var y = nested
                ? GradientCheckpointing.Run(input => blocks.Forward(input, true), x)
                : blocks.Forward(x, true);
            using var loss = y.sum();
            loss.backward();
        }

        Step();
        LiveTensors.Change(() =>
        {
            for (var k = 0; k < 20; k++)
                Step();
        }).Should().Be(0);
        x.Dispose();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_block_that_fails_on_the_way_back_is_an_error_and_the_reason_is_kept()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        var calls = 0;
        var y = GradientCheckpointing.Run(
            input => ++calls == 1 ? input.mul(2) : throw new InvalidOperationException("no second time"), x);
        FluentActions.Invoking(() => y.sum().backward()).Should().Throw<ExternalException>();
        GradientCheckpointing.LastFailure.Should().BeOfType<InvalidOperationException>().Which.Message.Should().Be("no second time");
        x.grad.Should().BeNull();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_failure_is_that_of_the_thread_of_the_forward_pass()
    {
        Exception? Fail(string? message)
        {
            Exception? seen = null;
            var thread = new Thread(() =>
            {
                using var scope = NewDisposeScope();
                var x = ones([2]).requires_grad_();
                var calls = 0;
                var y = GradientCheckpointing.Run(
                    input => message is null || ++calls == 1 ? input.mul(2) : throw new InvalidOperationException(message), x);
                var backward = FluentActions.Invoking(() => y.sum().backward());
                if (message is null)
                    backward();
                else
                    backward.Should().Throw<ExternalException>();
                seen = GradientCheckpointing.LastFailure;
            });
            thread.Start();
            thread.Join();
            return seen;
        }

        Fail("on a thread")!.Message.Should().Be("on a thread");
        Fail(null).Should().BeNull("that thread had no failure");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void An_input_changed_in_place_is_an_error_of_the_backward_pass()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(2, 2);
        var x = ones([1, 2]);
        var y = GradientCheckpointing.Run(layer.call, x);
        x.add_(1);
        FluentActions.Invoking(() => y.sum().backward()).Should().Throw<ExternalException>();
        GradientCheckpointing.LastFailure!.Message.Should().Contain("inplace");
    }

    private static Tensor Input() => linspace(-1, 1, 2 * 6 * 8).reshape(2, 6, 8);

    private static Dictionary<string, double[]> Gradients(Blocks blocks, bool checkpointed, long? seed)
        => Gradients(blocks, seed, x => blocks.Forward(x, checkpointed));

    private static Dictionary<string, double[]> Gradients(Blocks blocks, long? seed, Func<Tensor, Tensor> forward)
    {
        using var scope = NewDisposeScope();
        blocks.zero_grad();
        manual_seed(11);
        using var generator = new Generator((ulong)(seed ?? 0));
        using var use = seed is null ? null : TrainingRandom.Use(generator);
        var x = Input().requires_grad_();
        var loss = forward(x).sin().mean();
        loss.backward();
        var result = blocks.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.Values());
        result["x"] = x.grad!.Values();
        result["loss"] = loss.Values();
        return result;
    }

    private static void ShouldEqual(Dictionary<string, double[]> actual, Dictionary<string, double[]> expected)
    {
        actual.Keys.Should().Equal(expected.Keys);
        foreach (var (name, values) in expected)
            actual[name].Should().Equal(values, name);
    }

    /// <summary>Transformer blocks one after the other.</summary>
    private sealed class Blocks : nn.Module
    {
        private readonly (MultiHeadAttention Attention, FeedForward Network)[] _layers;

        public Blocks(int count, double dropout)
            : base(nameof(Blocks))
        {
            manual_seed(1);
            _layers = [.. Enumerable.Range(0, count).Select(_ => (
                new MultiHeadAttention(new MultiHeadAttentionOptions { Width = 8, Heads = 2, HeadWidth = 4 }), new FeedForward(8, dropout: dropout)))];
            for (var k = 0; k < count; k++)
            {
                register_module($"attention{k}", _layers[k].Attention);
                register_module($"network{k}", _layers[k].Network);
            }
        }

        public Tensor Forward(Tensor x, bool checkpointed)
        {
            using var scope = NewDisposeScope();
            foreach (var (attention, network) in _layers)
                x = GradientCheckpointing.RunIf(checkpointed, input => Layer(attention, network, input), x);
            return x.MoveToOuterDisposeScope();
        }

        protected override void RegisterComponents()
        {
        }

        private static Tensor Layer(MultiHeadAttention attention, FeedForward network, Tensor input)
        {
            using var scope = NewDisposeScope();
            var attended = attention.call(input, null, null).add_(input);
            return network.call(attended).add(attended).MoveToOuterDisposeScope();
        }
    }
}
