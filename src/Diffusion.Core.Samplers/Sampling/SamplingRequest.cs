using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Specifies the batch to sample: its shape, seed or noise, condition, device and type. A request does not own its tensors.
/// </summary>
public sealed record SamplingRequest
{
    /// <summary>[B, ...] the shape of the batch, such as <c>[64, 1, 28, 28]</c>.</summary>
    public required IReadOnlyList<long> Shape { get; init; }

    /// <summary>The root seed. The noise of sample i of the batch depends only on (Seed, FirstSample + i). The default is 0.</summary>
    public long Seed { get; init; }

    /// <summary>
    /// The index of the first sample of the batch. For example, a batch of 64 with the value 64 contains samples 64 to 127 of the seed. The
    /// default is 0.
    /// </summary>
    public long FirstSample { get; init; }

    /// <summary>
    /// The condition of the whole batch, passed to the network with x_t and t. The default is <see langword="null"/>: no condition.
    /// </summary>
    public Condition? Condition { get; init; }

    /// <summary>
    /// [B, ...] x at the first level of the grid, used unchanged in place of a random draw. It determines the device, and the type in
    /// place of <see cref="Dtype"/>. The default is <see langword="null"/>.
    /// </summary>
    public Tensor? InitialSample { get; init; }

    /// <summary>
    /// [B, ...] the initial data for image-to-image, which are noised to the first level of the grid. <see cref="TimeGrid.StartingAt"/>
    /// creates a grid that begins later. The data determine the type and the device. The default is <see langword="null"/>: sampling starts
    /// from noise.
    /// </summary>
    public Tensor? InitialData { get; init; }

    /// <summary>
    /// A callback that receives the new state after each step. It returns a tensor that replaces the sample, or
    /// <see langword="null"/> to use the sample unchanged. Ownership of the returned tensor passes to the sampler. The callback runs
    /// without gradients, in the dispose scope of the step. The state is disposed after the call. The default is <see langword="null"/>: no
    /// callback.
    /// </summary>
    public Func<SamplerState, Tensor?>? OnStep { get; init; }

    /// <summary>
    /// The source of Gaussian draws. Its first draw is used for the initial sample, unless <see cref="InitialSample"/> is given. It is not
    /// disposed. The default is <see langword="null"/>: draws from <see cref="Seed"/>.
    /// </summary>
    public INoiseSource? Noise { get; init; }

    /// <summary>
    /// The device to sample on. The default is <see langword="null"/>: the device of the model, or the CPU if the model has none.
    /// </summary>
    public Device? Device { get; init; }

    /// <summary>The floating-point type of the network's input and of the result. The default is float32.</summary>
    /// <remarks>
    /// With float16 and bfloat16, the trajectory is computed in float32, and only the network computes in that type. The tensors of a
    /// <see cref="SamplerState"/> are those of the trajectory.
    /// </remarks>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;
}

/// <summary>
/// Operations that all samplers perform on a request: validation, creation of the initial sample, and replacement of a sample after a step.
/// </summary>
internal static class RequestStart
{
    /// <summary>Throws if the prediction of a model does not determine x_0 and eps at a time.</summary>
    /// <exception cref="ArgumentException">A coefficient is not finite at this time.</exception>
    public static void RequireDetermined(DiffusionModel model, INoiseSchedule schedule, double time, NoiseLevel level)
    {
        var previous = schedule.PreviousLevel(time, level);
        var x0 = model.Prediction.ToX0(level, previous);
        var epsilon = model.Prediction.ToEpsilon(level, previous);
        if (!(double.IsFinite(x0.First) && double.IsFinite(x0.Second) && double.IsFinite(epsilon.First) && double.IsFinite(epsilon.Second)))
            throw new ArgumentException(
                Invariant($"The prediction '{model.Prediction.Name}' does not determine x_0 and eps at time {time}, where alpha ")
                + Invariant($"is {level.Alpha} and ")
                + Invariant($"sigma {level.Sigma}; a schedule that ends without signal needs a network that predicts x_0 or v."),
                nameof(model));
    }

    /// <summary>The type of the network's input and of the result.</summary>
    public static ScalarType TypeOf(SamplingRequest request) => (request.InitialSample ?? request.InitialData)?.dtype ?? request.Dtype;

    /// <summary>The model, whose network receives x_t in the type of the request if the trajectory is in another one.</summary>
    public static DiffusionModel InTypeOf(SamplingRequest request, DiffusionModel model)
        => HalfPrecision.Is(TypeOf(request)) ? model.With(new HalfPrecision(model.Network, TypeOf(request))) : model;

    /// <summary>Throws if a request is not valid for a model.</summary>
    /// <exception cref="ArgumentException">The request is not valid; the message contains the reason.</exception>
    public static void Validate(SamplingRequest request, DiffusionModel model)
    {
        ArgumentNullException.ThrowIfNull(request.Shape, "request.Shape");
        if (request.Shape.Count == 0 || request.Shape.Any(size => size < 1))
            throw new ArgumentException(
                $"The shape must be [B, ...] of sizes of at least 1, got {Guard.Format([.. request.Shape])}.", nameof(request));
        Guard.InRange(request.FirstSample, 0L, long.MaxValue - request.Shape[0], "request.FirstSample");
        if (request.InitialSample is not null && request.InitialData is not null)
            throw new ArgumentException("A request starts from InitialSample or from InitialData, got both.", nameof(request));
        if ((request.InitialSample ?? request.InitialData) is { } initial)
        {
            var name = request.InitialSample is null ? "request.InitialData" : "request.InitialSample";
            Guard.Floating(initial, name);
            Guard.Shape(initial, [.. request.Shape], name);
        }
        else if (request.Dtype is not (ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64))
        {
            throw new ArgumentException($"The type of the samples must be floating point, got {request.Dtype}.", nameof(request));
        }

        if (model.LearnsVariance && request.Shape.Count < 2)
            throw new ArgumentException(
                $"A network with variance channels needs samples [B, C, ...], got {Guard.Format([.. request.Shape])}.", nameof(request));
        if (request.Condition?.Labels is { } labels)
            Guard.Shape(labels, [request.Shape[0]], "request.Condition.Labels");
        if (request.Condition is { } condition && model.UnusedPart(condition) is { } unused)
            throw new ArgumentException(
                $"The condition has {unused}, which the network was not built for and would ignore. Sample without them, or train a network "
                + "that reads them.",
                nameof(request));
    }

    /// <summary>Returns the standard deviation of the noise from which sampling starts.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The options specify a value that is not finite and greater than 0.</exception>
    public static double Scale(SamplerOptions options, NoiseLevel start)
        => options.InitialScale is { } scale
            ? Guard.PositiveFactor(scale, "options.InitialScale")
            : Math.Sqrt((start.Alpha * start.Alpha) + (start.Sigma * start.Sigma));

    /// <summary>
    /// Creates [B, ...] the initial sample of a request, detached from dispose scopes. The caller must dispose the tensor.
    /// </summary>
    public static Tensor Sample(SamplingRequest request, INoiseSource noise, NoiseLevel start, double scale, Device device)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (request.InitialSample is { } given)
            return given.to(HalfPrecision.Widened(given.dtype), copy: true).DetachFromDisposeScope();
        using var like = empty(
            [.. request.Shape], dtype: HalfPrecision.Widened(TypeOf(request)), device: request.InitialData?.device ?? device);
        var drawn = noise.Draw(like);
        Guard.SameShape(like, drawn, "the samples", "the noise");
        if (request.InitialData is { } data)
            return new LinearPair(start.Alpha, start.Sigma).Apply(data.to(like.dtype), drawn).DetachFromDisposeScope();

        // The scale of a variance-preserving process is 1 up to rounding. The draw is then used unchanged.
        if (Math.Abs(scale - 1.0) > 1e-12)
            drawn.Mul_(scale);
        return drawn.DetachFromDisposeScope();
    }

    /// <summary>
    /// Returns the sample, or the tensor with which <see cref="SamplingRequest.OnStep"/> replaces it. The replaced sample is freed.
    /// </summary>
    public static SharedTensor Replace(SharedTensor sample, Tensor? other)
    {
        if (other is null || ReferenceEquals(other, sample.Tensor))
            return sample;
        Guard.SameShape(sample.Tensor, other, "the sample", "the result of OnStep");
        Guard.SameType(sample.Tensor, other, "the sample", "the result of OnStep");
        sample.Dispose();
        return new SharedTensor(other);
    }
}

/// <summary>A network that computes in half precision for samples in float32.</summary>
internal sealed class HalfPrecision(IDenoiser network, ScalarType type) : DelegatingDenoiser(network)
{
    /// <summary>Whether sums and coefficients of a trajectory can overflow or lose most digits in a type.</summary>
    public static bool Is(ScalarType type) => type is ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>The type of a trajectory for samples of a type.</summary>
    public static ScalarType Widened(ScalarType type) => Is(type) ? ScalarType.Float32 : type;

    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        using var narrow = xt.to(type);
        return Inner.Predict(narrow, t, condition);
    }
}
