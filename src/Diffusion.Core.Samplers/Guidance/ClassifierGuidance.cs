using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// A network guided by the gradient of a classifier of noisy samples: eps is replaced by <c>eps - scale sigma grad log p(y | x_t)</c>, for
/// every type of prediction. Created by <see cref="Guidance.Classifier"/>. The model owns its tables.
/// </summary>
/// <remarks>
/// Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", Algorithm 2. At a fixed x_t, a change of eps by d
/// changes x_0 by <c>-sigma / alpha d</c>. Every type of prediction is linear in eps and x_0, and therefore changes by d times a factor
/// that depends on t only. If the network learns the variance and returns twice the channels, the variance channels are not changed.
/// </remarks>
public sealed class ClassifierGuidance : DelegatingDenoiser
{
    private readonly DiffusionModel _model;
    private readonly Func<Tensor, Tensor, Condition?, Tensor> _logProbability;
    private readonly ScheduledValue? _table;

    /// <inheritdoc cref="Guidance.Classifier"/>
    public ClassifierGuidance(DiffusionModel model, Func<Tensor, Tensor, Condition?, Tensor> logProbability, double scale = 1.0)
        : base(Guard.NotNull(model).Network)
    {
        ArgumentNullException.ThrowIfNull(logProbability);
        (_model, _logProbability) = (model, logProbability);
        Scale = Guard.InRange(scale, -Guard.MaxFactor, Guard.MaxFactor);
        if (model.Prediction.InputScale is not null)
            throw new ArgumentException(
                $"The classifier needs x_t as the input, but the prediction '{model.Prediction.Name}' scales it.", nameof(model));

        // If the timesteps are the indices of the schedule, a table avoids a wait for the device at every step.
        if (model.Schedule is DiscreteSchedule { IsRespaced: false })
            _table = model.Process.Tables(
                (nameof(ClassifierGuidance), model.Prediction, scale), schedule => new ScheduledValue(schedule, Factor));
    }

    /// <summary>The strength of the guidance: 1 for Bayes' rule, 0 for no guidance.</summary>
    public double Scale { get; }

    /// <inheritdoc/>
    /// <remarks>The output can be differentiated with respect to x_t, including the gradient of the classifier.</remarks>
    /// <exception cref="ArgumentException">
    /// The classifier does not return one value for each sample, or a timestep is outside the schedule.
    /// </exception>
    /// <exception cref="InvalidOperationException">The log-probabilities do not depend on x_t, or have no gradient.</exception>
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
        return prediction.Addcmul(gradient.Widened(), Factors(t, prediction).expand(prediction.shape), 1.0);
    }

    /// <summary>Returns [B, 1, ...] the factors of the gradient at the timesteps of a batch.</summary>
    private Tensor Factors(Tensor t, Tensor like)
    {
        if (_table is not null && t.dtype == ScalarType.Int64)
            return _table.At(t, like);
        Guard.Shape(t, [like.shape[0]]);
        var timesteps = t.to(ScalarType.Float64).cpu().data<double>().ToArray();
        var shape = new long[like.dim()];
        Array.Fill(shape, 1L);
        shape[0] = timesteps.Length;
        return tensor(Array.ConvertAll(timesteps, FactorAt), dtype: like.dtype).to(like.device).view(shape);
    }

    private double FactorAt(double timestep)
    {
        var time = ModelTimestepInverse.TimeOf(_model.Schedule, timestep, "t");
        var level = _model.Schedule.LevelAt(time);
        return Factor(level, _model.Schedule.PreviousLevel(time, level));
    }

    private double Factor(NoiseLevel level, NoiseLevel previous)
    {
        // Without signal, the classifier contributes no information, and x_0 would need a division by zero.
        var (data, noise) = _model.Prediction.Target(level, previous);
        return level.Alpha == 0.0 ? 0.0 : Scale * level.Sigma * ((data * level.NoiseToSignalRatio) - noise);
    }

    private Tensor Gradient(Tensor xt, Tensor t, Condition? condition)
    {
        // The graph of this gradient is needed only if the output of the guided network is differentiated, and not for sampling.
        var isDifferentiated = xt.requires_grad && is_grad_enabled();
        using var gradientsOn = enable_grad();
        var x = isDifferentiated ? xt.view_as(xt) : xt.detach().clone().requires_grad_(true);
        var values = _logProbability(x, t, condition);
        Guard.Shape(values, [x.shape[0]], "the log-probabilities");
        return (isDifferentiated ? Gradients.DifferentiableOfInput(values, x) : Gradients.OfInput(values, x))
            ?? throw new InvalidOperationException(
                "The log-probabilities of the classifier have no gradient with respect to x_t. Do not switch gradients off in the classifier, "
                + "do not detach its input or output, and do not sample in inference mode.");
    }
}

/// <summary>The inverse of <see cref="INoiseSchedule.ModelTimestep"/>.</summary>
internal static class ModelTimestepInverse
{
    private const int Bisections = 64;

    // Networks receive timesteps in single precision.
    private const double Tolerance = 1e-6;

    /// <summary>Returns the time of a schedule for which a network receives the given timestep.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The schedule has no such time.</exception>
    public static double TimeOf(INoiseSchedule schedule, double timestep, string parameter)
    {
        var (low, high) = (schedule.MinTime, schedule.MaxTime);
        var (first, last) = (schedule.ModelTimestep(low), schedule.ModelTimestep(high));
        double Error(double time) => Math.Abs(schedule.ModelTimestep(time) - timestep);
        var time = Math.Clamp(timestep, low, high);
        if (Error(time) > 0.0)
        {
            for (var i = 0; i < Bisections; i++)
            {
                var middle = low + ((high - low) / 2.0);
                if (schedule.ModelTimestep(middle) < timestep == last > first)
                    low = middle;
                else
                    high = middle;
            }

            // The times of a discrete schedule are integers, which the bisection only approaches.
            var whole = Math.Clamp(Math.Round(low), schedule.MinTime, schedule.MaxTime);
            time = new[] { whole, time, low, high }.MinBy(Error);
        }

        return Error(time) <= Tolerance * Math.Max(Math.Abs(first), Math.Abs(last))
            ? time
            : throw new ArgumentOutOfRangeException(
                parameter, timestep, Invariant($"Every timestep must be between {first} and {last}, the range of the schedule, ")
                    + Invariant($"got {timestep}."));
    }
}
