using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// A network guided by the gradient of a classifier of noisy samples: <c>eps - scale sigma grad log p(y | x_t)</c>, for every type of
/// prediction. Created by <see cref="Guidance.Classifier"/>. Its tables are owned by the model.
/// </summary>
/// <remarks>
/// Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", Algorithm 2. A change of eps by d changes x_0 by
/// <c>-sigma / alpha d</c>. Every prediction is linear in the two, and therefore changes by d times a factor that depends on t alone. If
/// the network learns the variance and returns twice the channels, the variance channels are not changed.
/// </remarks>
public sealed class ClassifierGuidance : DelegatingDenoiser
{
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _logProbability;
    private readonly ScheduledValue _factor;
    private readonly TimestepInverse _times;

    /// <inheritdoc cref="Guidance.Classifier"/>
    public ClassifierGuidance(DiffusionModel model, Func<Tensor, Tensor, Condition?, Tensor> logProbability, double scale = 1.0)
        : base(Guard.NotNull(model).Network)
    {
        ArgumentNullException.ThrowIfNull(logProbability);
        _logProbability = logProbability;
        Scale = Guard.InRange(scale, double.MinValue, double.MaxValue);
        _times = new TimestepInverse(model.Schedule);
        var form = model.Prediction;
        if (form.InputScale is not null)
            throw new ArgumentException($"The classifier receives x_t itself; the prediction '{form.Name}' scales it.", nameof(model));
        _factor = model.Process.Tables((nameof(ClassifierGuidance), form, scale), schedule => new ScheduledValue(schedule, (level, previous) =>
        {
            // Without signal the classifier contributes no information, and x_0 would need a division by zero.
            var (data, noise) = form.Target(level, previous);
            return level.Alpha == 0.0 ? 0.0 : scale * level.Sigma * ((data * level.NoiseToSignalRatio) - noise);
        }));
    }

    /// <summary>The strength of the guidance; 1 for Bayes' rule.</summary>
    public double Scale { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The classifier does not return one value for each sample.</exception>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        var answer = Inner.Predict(xt, t, condition);
        if (Scale == 0.0)
            return answer;
        using var scope = NewDisposeScope();
        using var free = answer;
        var gradient = Gradient(xt, t, condition);
        return VarianceChannels.Keep(answer, xt, prediction => Lead(prediction, gradient, t)).MoveToOuterDisposeScope();
    }

    private Tensor Lead(Tensor prediction, Tensor gradient, Tensor t)
    {
        Guard.SameShape(gradient, prediction, "x_t", "the output of the network");
        return prediction.Addcmul(gradient, _factor.At(_times.Of(t), prediction).expand(prediction.shape), 1.0);
    }

    private Tensor Gradient(Tensor xt, Tensor t, Condition? condition)
    {
        using var gradients = enable_grad();
        var x = xt.detach().clone().requires_grad_(true);
        using var values = _logProbability(x, t, condition);
        Guard.Shape(values, [x.shape[0]], "the log-probabilities");
        if (!values.requires_grad)
            throw new InvalidOperationException(
                "The log-probabilities of the classifier have no gradient with respect to x_t. Do not switch gradients off in the classifier, "
                + "and do not detach its input or output.");
        return autograd.grad([values.sum()], [x])[0];
    }
}

/// <summary>The times of a schedule for the timesteps that its networks receive: the inverse of <see cref="INoiseSchedule.ModelTimestep"/>.</summary>
internal sealed class TimestepInverse
{
    private const int Bisections = 64;

    private readonly INoiseSchedule _schedule;
    private readonly double[]? _timesteps;
    private readonly bool _isIdentity;

    public TimestepInverse(INoiseSchedule schedule)
    {
        _schedule = schedule;
        if (schedule is DiscreteSchedule discrete)
        {
            _timesteps = [.. Enumerable.Range(0, discrete.Steps).Select(t => schedule.ModelTimestep(t))];
            _isIdentity = _timesteps.Select((timestep, t) => timestep == t).All(same => same);
            return;
        }

        var (first, last) = (schedule.MinTime, schedule.MaxTime);
        _isIdentity = Enumerable.Range(0, 9).Select(i => first + (i / 8.0 * (last - first))).All(t => schedule.ModelTimestep(t) == t);
    }

    /// <summary>Returns the times of timesteps, [B], in the current dispose scope. Waits for the device unless the two are the same.</summary>
    /// <exception cref="ArgumentException">A timestep is not one of the schedule.</exception>
    public Tensor Of(Tensor timesteps)
    {
        if (_isIdentity)
            return timesteps;
        var values = timesteps.to(ScalarType.Float64).cpu().data<double>().ToArray();
        return _timesteps is null
            ? tensor(Array.ConvertAll(values, TimeOf))
            : tensor(Array.ConvertAll(values, IndexOf), device: timesteps.device);
    }

    private long IndexOf(double timestep)
    {
        var index = Array.IndexOf(_timesteps!, timestep);
        return index >= 0
            ? index
            : throw new ArgumentException($"{timestep} must be a timestep of the {_timesteps!.Length} steps of the schedule.", nameof(timestep));
    }

    private double TimeOf(double timestep)
    {
        var (low, high) = (_schedule.MinTime, _schedule.MaxTime);
        var rises = _schedule.ModelTimestep(high) > _schedule.ModelTimestep(low);
        for (var i = 0; i < Bisections; i++)
        {
            var middle = low + ((high - low) / 2.0);
            if (_schedule.ModelTimestep(middle) < timestep == rises)
                low = middle;
            else
                high = middle;
        }

        return Math.Abs(_schedule.ModelTimestep(low) - timestep) < Math.Abs(_schedule.ModelTimestep(high) - timestep) ? low : high;
    }
}
