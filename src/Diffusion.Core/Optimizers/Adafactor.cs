using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The Adafactor optimizer: Adam with second moments factored into one number for each row and each column of a matrix, which take almost
/// no memory. The root mean square of the update of a parameter is at most about the learning rate.
/// </summary>
/// <remarks>
/// <para>Source: Shazeer and Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", algorithms 4 and 5. Parameters of
/// fewer than two dimensions have a full second moment. The weights of convolutions, which the paper does not specify, are treated as
/// matrices [out, in * height * width].</para>
/// <para>The learning rate of the paper, <c>min(1e-2, 1 / sqrt(step))</c>, has to be set with
/// <see cref="TrainerOptions.LearningRateSchedule"/>. A step takes longer than with the other optimizers, because it processes each
/// parameter separately.</para>
/// </remarks>
public sealed record Adafactor : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Adafactor);

    /// <summary>The exponent c of the decay <c>1 - step^-c</c> of the second moments. The default is 0.8.</summary>
    public double DecayPower { get; init; } = 0.8;

    /// <summary>The decay of the average of the updates. The default is 0: no average, which takes no memory.</summary>
    public double Beta1 { get; init; }

    /// <summary>
    /// The largest root mean square of the update of a parameter, before it is multiplied by the learning rate. Larger updates are scaled
    /// down. The default is 1.
    /// </summary>
    public double ClipThreshold { get; init; } = 1.0;

    /// <summary>
    /// Whether the learning rate of a parameter is multiplied by the root mean square of its weights. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool RelativeStep { get; init; }

    /// <summary>The number added to squared gradients. The default is 1e-30.</summary>
    public double Epsilon1 { get; init; } = 1e-30;

    /// <summary>The lower bound of the root mean square of weights in <see cref="RelativeStep"/>. The default is 1e-3.</summary>
    public double Epsilon2 { get; init; } = 1e-3;

    /// <summary>The decoupled weight decay. The default is 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(DecayPower, double.Epsilon, 1.0);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.PositiveFactor(ClipThreshold);
        Guard.PositiveFactor(Epsilon1);
        Guard.PositiveFactor(Epsilon2);
        Guard.Factor(WeightDecay);
        return new AdafactorState(this, layout);
    }
}

/// <summary>The state of <see cref="Adafactor"/>.</summary>
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

/// <summary>The running mean of the squared gradients of one parameter, by row and column for a matrix and by element otherwise.</summary>
internal sealed class AdafactorMoment : IDisposable
{
    private readonly double _epsilon;
    private readonly long[] _rest;
    private readonly Tensor _rows;
    private readonly Tensor? _columns;

    /// <summary>Initializes a new instance of the <see cref="AdafactorMoment"/> class with zeros.</summary>
    public AdafactorMoment(FlatLayout layout, ParameterSlice slice, double epsilon)
    {
        (Slice, Range, _epsilon) = (slice, layout.RangeOf(slice), epsilon);
        _rest = [.. Enumerable.Range(1, Math.Max(slice.Shape.Count - 1, 0)).Select(dim => (long)dim)];
        Tensor New(IEnumerable<long> shape) => zeros([.. shape], dtype: layout.Dtype, device: layout.Device).DetachFromDisposeScope();
        if (_rest.Length == 0)
        {
            _rows = New(slice.Shape);
            return;
        }

        _rows = New([slice.Shape[0], .. _rest.Select(_ => 1L)]);
        _columns = New(slice.Shape.Skip(1));
    }

    /// <summary>The parameter.</summary>
    public ParameterSlice Slice { get; }

    /// <summary>The group of the parameter.</summary>
    public ParameterRange Range { get; }

    /// <summary>The tensors of the state, with the names in Hugging Face's libraries.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> Tensors => _columns is null
        ? [new($"exp_avg_sq.{Slice.Name}", _rows)]
        : [new($"exp_avg_sq_row.{Slice.Name}", _rows), new($"exp_avg_sq_col.{Slice.Name}", _columns)];

    /// <summary>Updates the moment with a gradient, and divides the gradient by the square root of the moment.</summary>
    /// <param name="gradient">The gradient, in the shape of the parameter. It is changed in place.</param>
    /// <param name="share">[] float64 the share of the new squares in the moment.</param>
    public void Normalise(Tensor gradient, Tensor share)
    {
        using var scope = NewDisposeScope();
        var squares = gradient.mul(gradient).Add_(_epsilon);
        if (_columns is null)
        {
            FlatLayout.Blend(_rows, squares, share);
            gradient.mul_(_rows.ClampMin(_epsilon).rsqrt());
            return;
        }

        FlatLayout.Blend(_rows, squares.mean(_rest, keepdim: true), share);
        FlatLayout.Blend(_columns, squares.mean([0L]), share);

        // Both moments are zero until a step is taken; the gradient of a skipped step is also zero.
        var rows = _rows.ClampMin(_epsilon);
        gradient.mul_(rows.div(rows.mean()).rsqrt()).mul_(_columns.ClampMin(_epsilon).rsqrt());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows.Dispose();
        _columns?.Dispose();
    }
}
