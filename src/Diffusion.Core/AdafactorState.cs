using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>What <see cref="Adafactor"/> remembers of each parameter.</summary>
internal sealed class AdafactorState : IOptimizerState
{
    private readonly Adafactor _settings;
    private readonly FlatLayout _layout;
    private readonly AdafactorMoment[] _moments;
    private readonly Tensor? _average;
    private readonly Tensor _step;

    public AdafactorState(Adafactor settings, FlatLayout layout)
    {
        (_settings, _layout) = (settings, layout);
        _moments = [.. layout.Slices.Select(slice => new AdafactorMoment(layout, slice, settings.Epsilon1))];
        _step = layout.NewNumber(0.0);
        var tensors = new Dictionary<string, Tensor>(_moments.SelectMany(moment => moment.Tensors), StringComparer.Ordinal)
        {
            ["step"] = _step,
        };
        if (settings.Beta1 != 0.0)
            tensors["exp_avg"] = _average = layout.NewBuffer();
        Tensors = tensors;
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <inheritdoc/>
    public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
    {
        using var scope = NewDisposeScope();
        _step.Add_(apply);
        var share = _step.ClampMin(1.0).Pow(-_settings.DecayPower).mul_(apply);
        var size = apply.Mul(-learningRate);
        var kept = apply.Mul(_settings.Beta1 - 1.0).Add_(1.0);
        foreach (var moment in _moments)
            Step(moment, weights, gradients, (share, size, kept));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var moment in _moments)
            moment.Dispose();
        _average?.Dispose();
        _step.Dispose();
    }

    private void Step(AdafactorMoment moment, Tensor weights, Tensor gradients, (Tensor Share, Tensor Size, Tensor Kept) of)
    {
        using var scope = NewDisposeScope();
        var weight = FlatLayout.View(weights, moment.Slice);
        var update = FlatLayout.View(gradients, moment.Slice);
        moment.Normalise(update, of.Share);
        update.div_(RootMeanSquare(update).Div_(_settings.ClipThreshold).ClampMin(1.0));
        if (_average is not null)
        {
            var average = FlatLayout.View(_average, moment.Slice);
            update = average.mul_(of.Kept).Add_(update, 1.0 - _settings.Beta1);
        }

        var size = of.Size.Mul(moment.Range.LearningRateScale);
        if (_settings.RelativeStep)
            size.mul_(RootMeanSquare(weight).ClampMin(_settings.Epsilon2));
        if (_settings.WeightDecay != 0.0)
            weight.mul_(size.Mul(_settings.WeightDecay * moment.Range.WeightDecayScale).Add_(1.0));
        weight.Addcmul_(update, size.to(_layout.Dtype), 1.0);
    }

    private static Tensor RootMeanSquare(Tensor values) => values.mul(values).mean().sqrt_();
}
