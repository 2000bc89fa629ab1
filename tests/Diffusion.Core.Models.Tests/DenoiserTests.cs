using Diffusion.Core.Testing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class DenoiserTests
{
    [Fact]
    public void A_module_of_data_and_time_is_a_denoiser_that_does_not_look_at_labels()
    {
        using var scope = NewDisposeScope();
        using var module = new Scale();
        var denoiser = new ModuleDenoiser(module);
        using var condition = Condition.OfLabels([1]);

        denoiser.Predict(ones(1, 2), tensor(new[] { 3.0 })).data<float>().ToArray().Should().Equal(6, 6);
        denoiser.Module.Should().BeSameAs(module);
        denoiser.Predict(ones(1, 2), tensor(new[] { 3.0 }), condition).data<float>().ToArray().Should().Equal(6, 6);
        FluentActions.Invoking(() => denoiser.Predict(ones(2, 2), tensor(new[] { 3.0 }))).Should().Throw<ArgumentException>().WithMessage("*[2]*[1]*");
    }

    [Fact]
    public void A_module_of_data_time_and_labels_is_a_denoiser_that_needs_them()
    {
        using var scope = NewDisposeScope();
        using var module = new LabelledScale();
        var denoiser = new ModuleDenoiser(module);
        using var condition = Condition.OfLabels([5]);

        denoiser.Predict(ones(1, 2), tensor(new[] { 3.0 }), condition).data<float>().ToArray().Should().Equal(8, 8);
        FluentActions.Invoking(() => denoiser.Predict(ones(1, 2), tensor(new[] { 3.0 }))).Should().Throw<ArgumentException>().WithMessage("*label*none*");
    }

    [Fact]
    public void A_function_is_a_denoiser_with_nothing_to_ready()
    {
        using var scope = NewDisposeScope();
        IDenoiser half = new DelegateDenoiser((xt, t) => xt.div(2));
        var labelled = new DelegateDenoiser((xt, t, condition) => xt.add(condition!.Labels!));
        using var condition = Condition.OfLabels([5]);

        half.Predict(ones(1), ones(1)).item<float>().Should().Be(0.5f);
        labelled.Predict(ones(1), ones(1), condition).item<float>().Should().Be(6);
        half.BeginInference().Should().BeNull();
        FluentActions.Invoking(() => new DelegateDenoiser((Func<Tensor, Tensor, Tensor>)null!)).Should().Throw<ArgumentNullException>();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Inference_puts_each_part_back_in_the_mode_it_was_in(bool training)
    {
        using var frozen = new SeededDropout(0.5);
        using var live = new SeededDropout(0.5);
        using var module = new ModuleList<SeededDropout>(frozen, live);
        using var holder = new ModuleList<ModuleList<SeededDropout>>(module);
        holder.register_module("0", module);
        holder.train(training);
        frozen.eval();
        var modes = new[] { holder.training, module.training, frozen.training, live.training };
        var denoiser = new ModuleDenoiser(holder, (xt, _, _) => xt.alias());

        var outer = denoiser.BeginInference()!;
        var inner = denoiser.BeginInference()!;
        live.training.Should().BeFalse();
        inner.Dispose();
        live.training.Should().BeFalse();
        holder.training.Should().BeFalse();
        outer.Dispose();
        outer.Dispose();

        new[] { holder.training, module.training, frozen.training, live.training }.Should().Equal(modes);
        live.training.Should().Be(training);
    }

    [Theory]
    [InlineData(null, 0)]
    [InlineData(3, 2)]
    public void The_mlp_has_the_gradients_of_finite_differences(int? classes, int fourierFeatures)
    {
        using var scope = NewDisposeScope();
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 2, Classes = classes, FourierFeatures = fourierFeatures }).to(ScalarType.Float64);
        var x = randn([4, 2], dtype: ScalarType.Float64).requires_grad_(true);
        var t = tensor(new long[] { 0, 3, 50, 999 });
        using var condition = classes is null ? null : Condition.OfLabels([0, 1, 2, 0]);
        var weights = randn_like(x);

        mlp.Predict(x, t, condition).shape.Should().Equal(4, 2);
        GradientCheck.LargestError(() => mlp.Predict(x, t, condition).mul(weights).sum(), mlp.parameters().Append(x)).Should().BeLessThan(3e-7);
    }

    [Fact]
    public void An_mlp_is_told_vectors_where_it_takes_them()
    {
        using var scope = NewDisposeScope();
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Features = 3, Width = 8, VectorWidth = 4, Classes = 2 }).to(ScalarType.Float64);
        var x = randn([2, 3], dtype: ScalarType.Float64);
        var t = tensor(new long[] { 0, 999 });
        var vector = randn([2, 4], dtype: ScalarType.Float64).requires_grad_(true);
        var labels = tensor(new long[] { 0, 1 });
        var weights = randn_like(x);
        Tensor Answer(Tensor told) => mlp.Predict(x, t, Condition.Create(labels: labels, vector: told));

        GradientCheck.LargestError(() => Answer(vector).mul(weights).sum(), mlp.parameters().Append(vector)).Should().BeLessThan(3e-7);
        Answer(vector).sub(Answer(vector.add(1))).abs().min().item<double>().Should().BeGreaterThan(1e-6);
        FluentActions.Invoking(() => Answer(zeros([2, 3], dtype: ScalarType.Float64))).Should().Throw<ArgumentException>().WithMessage("*vector*[2, 4]*[2, 3]*");
        FluentActions.Invoking(() => mlp.Answer(x, t, labels)).Should().Throw<ArgumentException>().WithMessage("*vector of 4*none*");
    }

    [Fact]
    public void The_mlp_refuses_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8 });
        var t = tensor(new long[] { 1 });

        FluentActions.Invoking(() => mlp.Answer(zeros(1, 3), t, null)).Should().Throw<ArgumentException>().WithMessage("*[*, 2]*[1, 3]*");
        FluentActions.Invoking(() => mlp.Answer(zeros(2, 2), t, null)).Should().Throw<ArgumentException>().WithMessage("*[2]*[1]*");
        FluentActions.Invoking(() => new MlpDenoiser(new() { Width = 7 })).Should().Throw<ArgumentException>().WithMessage("*Width*7*");
        FluentActions.Invoking(() => new MlpDenoiser(new() { FourierFeatures = -1 })).Should().Throw<ArgumentException>().WithMessage("*FourierFeatures*-1*");
        FluentActions.Invoking(() => new MlpDenoiser(new() { VectorWidth = 0 })).Should().Throw<ArgumentException>().WithMessage("*VectorWidth*0*");
        FluentActions.Invoking(() => new MlpDenoiser(new() { Layers = 0 })).Should().Throw<ArgumentException>().WithMessage("*Layers*0*");
    }

    [Fact]
    public void The_mlp_leaves_no_tensors_behind()
    {
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Classes = 2 });
        using var x = zeros(1, 2);
        using var t = tensor(new long[] { 1 });
        using var condition = Condition.OfLabels([1]);
        mlp.Predict(x, t, condition).Dispose();

        LiveTensors.Change(() => mlp.Predict(x, t, condition).Dispose()).Should().Be(0);
    }

    private sealed class Scale() : nn.Module<Tensor, Tensor, Tensor>(nameof(Scale))
    {
        public override Tensor forward(Tensor xt, Tensor t) => xt.mul(t.to(ScalarType.Float32)).mul(2);
    }

    private sealed class LabelledScale() : nn.Module<Tensor, Tensor, Tensor, Tensor>(nameof(LabelledScale))
    {
        public override Tensor forward(Tensor xt, Tensor t, Tensor labels) => xt.mul(t.to(ScalarType.Float32)).add(labels);
    }
}
