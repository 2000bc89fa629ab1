using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Evaluates a model for a solver: maps a sample to the predicted x_0 and eps.</summary>
public interface IEvaluator
{
    /// <summary>Calls the network once.</summary>
    /// <param name="x">[B, ...] a sample at <paramref name="level"/>. It must not be modified while the prediction is in use.</param>
    /// <param name="time">A time of the schedule, which determines the timestep passed to the network.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    ModelPrediction Evaluate(Tensor x, double time, NoiseLevel level);

    /// <summary>
    /// Calls the network once and derives x_0 and eps for another sample, for methods that call the network before they change the sample.
    /// </summary>
    /// <param name="x">[B, ...] the input of the network, a sample at <paramref name="level"/>.</param>
    /// <param name="time">A time of the schedule, which determines the timestep passed to the network.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="readAt">The sample for which x_0 and eps are derived, with the shape of <paramref name="x"/>.</param>
    /// <param name="readLevel">alpha and sigma of <paramref name="readAt"/>.</param>
    /// <returns>The prediction for <paramref name="readAt"/>. The caller must dispose it.</returns>
    /// <exception cref="NotSupportedException">The evaluator cannot derive x_0 and eps for a sample other than its input.</exception>
    ModelPrediction EvaluateAs(Tensor x, double time, NoiseLevel level, Tensor readAt, NoiseLevel readLevel)
        => throw new NotSupportedException($"{GetType().Name} cannot derive x_0 and eps for a sample other than its input.");
}

/// <summary>Evaluates a <see cref="DiffusionModel"/> for a solver, with thresholding of the predicted x_0.</summary>
/// <param name="model">The model.</param>
/// <param name="condition">The condition passed to the network. The default is <see langword="null"/>: no condition.</param>
/// <param name="threshold">
/// The thresholding of the predicted x_0. The default is <see langword="null"/>: x_0 is clipped to the
/// <see cref="DiffusionModel.DataRange"/> of the model.
/// </param>
public sealed class ModelEvaluator(DiffusionModel model, Condition? condition = null, Thresholding? threshold = null) : IEvaluator
{
    private readonly DiffusionModel _model = model ?? throw new ArgumentNullException(nameof(model));

    /// <summary>
    /// Whether eps is derived from x_t and the thresholded x_0; see <see cref="SamplerOptions.RederiveNoise"/>. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool RederiveNoise { get; init; } = true;

    /// <inheritdoc/>
    public ModelPrediction Evaluate(Tensor x, double time, NoiseLevel level)
        => Thresholded(_model.Predict(x, time, level, condition), x);

    /// <inheritdoc/>
    public ModelPrediction EvaluateAs(Tensor x, double time, NoiseLevel level, Tensor readAt, NoiseLevel readLevel)
        => Thresholded(_model.PredictAt(x, time, level, readAt, readLevel, condition), readAt);

    private ModelPrediction Thresholded(ModelPrediction prediction, Tensor x)
    {
        try
        {
            var thresholding = threshold ?? Thresholding.To(_model.RangeOf(x.shape));
            if (ReferenceEquals(thresholding, Thresholding.None))
                return prediction;
            var inRange = thresholding.Apply(prediction.X0);
            Guard.SameShape(x, inRange, nameof(x), "the thresholded x_0");
            if (RederiveNoise)
                prediction.ReplaceX0(inRange);
            else
                prediction.ReplaceX0KeepingEpsilon(inRange);
            return prediction;
        }
        catch
        {
            prediction.Dispose();
            throw;
        }
    }
}
