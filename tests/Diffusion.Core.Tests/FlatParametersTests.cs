using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class FlatParametersTests
{
    [Fact]
    public void Weights_keep_their_values_and_live_in_one_buffer()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyDenoiser();
        var before = model.state_dict().ToDictionary(entry => entry.Key, entry => Bits.Of(entry.Value));
        using var flat = new FlatParameters(model);

        model.state_dict().ToDictionary(entry => entry.Key, entry => Bits.Of(entry.Value)).Should().Equal(before);
        flat.Values.fill_(0.5);
        foreach (var (_, parameter) in model.named_parameters())
            parameter.eq(0.5).all().item<bool>().Should().BeTrue();
        model.get_buffer("scale")!.item<float>().Should().Be(1e-3f);
    }

    [Fact]
    public void Gradients_accumulate_in_the_buffer_and_equal_those_without_it()
    {
        using var scope = NewDisposeScope();
        using var plain = new TinyDenoiser();
        using var model = new TinyDenoiser();
        using var flat = new FlatParameters(model);

        for (var step = 0; step < 2; step++)
        {
            Loss(plain).backward();
            Loss(model).backward();
        }

        var expected = plain.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter.grad);
        foreach (var slice in flat.Slices)
        {
            var actual = FlatLayout.View(flat.Gradients, slice);
            if (expected[slice.Name] is { } gradient)
                Bits.Of(actual).Should().Be(Bits.Of(gradient), slice.Name);
            else
                actual.eq(0.0).all().item<bool>().Should().BeTrue("{0} was not used", slice.Name);
        }

        expected.Values.Count(gradient => gradient is null).Should().Be(2);
    }

    [Fact]
    public void Zeroing_puts_back_what_zero_grad_took_away()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyDenoiser();
        using var flat = new FlatParameters(model);
        model.zero_grad();

        flat.ZeroGradients();
        Loss(model).backward();

        flat.GradientNorm().item<float>().Should().BeGreaterThan(0);
        flat.ZeroGradients();
        flat.GradientNorm().item<float>().Should().Be(0);
    }

    [Fact]
    public void The_norm_of_many_gradients_is_as_exact_as_the_type_allows()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(2000, 1000);
        using var flat = new FlatParameters(model);
        using var generator = new Generator(5);
        flat.Gradients.copy_(randn(flat.Gradients.shape, generator: generator));

        var exact = flat.Gradients.to(ScalarType.Float64).norm().item<double>();

        flat.GradientNorm().item<float>().Should().BeApproximately((float)exact, (float)(exact * 3e-7));
    }

    [Fact]
    public void Frozen_parameters_stay_out()
    {
        using var model = new TinyDenoiser();
        model.get_parameter("_first.weight")!.requires_grad = false;
        using var flat = new FlatParameters(model);

        flat.Slices.Select(slice => slice.Name).Should().NotContain("_first.weight").And.Contain("_first.bias");
    }

    [Fact]
    public void Tied_parameters_are_one()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        using var flat = new FlatParameters(model);

        model.forward(ones(1, 3)).sum().backward();

        flat.Slices.Should().ContainSingle();
        FlatLayout.View(flat.Gradients, flat.Slices[0]).data<float>().ToArray().Should().Equal(4, 4, 4);
    }

    [Fact]
    public void Moving_the_module_afterwards_is_noticed()
    {
        using var model = new TinyDenoiser();
        using var flat = new FlatParameters(model);
        flat.EnsureAttached();

        model.to(ScalarType.Float64);

        FluentActions.Invoking(flat.EnsureAttached).Should().Throw<InvalidOperationException>().WithMessage("*'_first.*was replaced or added*");
    }

    [Fact]
    public void Freezing_the_module_afterwards_is_noticed()
    {
        using var model = new TinyDenoiser();
        using var flat = new FlatParameters(model);

        model.get_parameter("_second.bias")!.requires_grad = false;

        FluentActions.Invoking(flat.EnsureAttached).Should().Throw<InvalidOperationException>().WithMessage("*'_second.bias' was frozen*");
    }

    [Fact]
    public void A_module_has_one_owner_at_a_time()
    {
        using var model = new TinyDenoiser();
        using (new FlatParameters(model))
            FluentActions.Invoking(() => new FlatParameters(model)).Should().Throw<InvalidOperationException>().WithMessage("*another trainer*");

        using var next = new FlatParameters(model);
        next.EnsureAttached();
    }

    [Fact]
    public void A_module_with_nothing_to_train_is_refused()
    {
        using var model = nn.ReLU();

        FluentActions.Invoking(() => new FlatParameters(model)).Should().Throw<ArgumentException>().WithMessage("*at least one parameter*");
    }

    [Fact]
    public void A_module_of_two_types_is_refused()
    {
        using var model = nn.Sequential(("a", nn.Linear(2, 2)), ("b", nn.Linear(2, 2, dtype: ScalarType.Float64)));

        FluentActions.Invoking(() => new FlatParameters(model)).Should().Throw<ArgumentException>().WithMessage("*'a.weight' is Float32*'b.weight' is Float64*");
    }

    [Fact]
    public void All_is_freed_and_the_module_works_on()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyDenoiser();
        var before = Bits.Of(Loss(model));

        LiveTensors.Change(() => new FlatParameters(model).Dispose()).Should().Be(0);

        Bits.Of(Loss(model)).Should().Be(before);
        model.get_parameter("_first.weight")!.grad.Should().BeNull();
    }

    private static Tensor Loss(TinyDenoiser model)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var output = model.call(randn([5, 2], generator: generator), arange(5));
        return output.mul(output).mean().MoveToOuterDisposeScope();
    }

    private sealed class Tied : nn.Module<Tensor, Tensor>
    {
        private readonly Parameter _first = new(ones(3));
        private readonly Parameter _second;

        public Tied()
            : base(nameof(Tied))
        {
            _second = _first;
            register_parameter("first", _first);
            register_parameter("second", _second);
        }

        public override Tensor forward(Tensor input) => input.mul(_first).add(_second.mul(3.0));

        protected override void RegisterComponents()
        {
            // By name, in the constructor.
        }
    }
}
