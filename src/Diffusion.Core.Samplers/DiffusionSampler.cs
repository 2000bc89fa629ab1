using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The loop: a time grid, a method for one step and what the network predicts. Immutable; one sampler serves any number of
/// denoisers, batches and threads.
/// </summary>
public class DiffusionSampler : ISampler
{
    /// <summary>A sampler of any method over any grid.</summary>
    /// <param name="grid">The times to visit.</param>
    /// <param name="solver">The method for one step.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <exception cref="ArgumentException">
    /// The prediction does not determine x_0 and eps everywhere on the grid, as eps does not at a level without signal; the solver cannot
    /// walk the grid; or the initial scale is not finite and greater than 0.
    /// </exception>
    public DiffusionSampler(TimeGrid grid, ISolver solver, SamplerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(solver);
        (Grid, Solver, Options) = (grid, solver, options ?? new SamplerOptions());
        ArgumentNullException.ThrowIfNull(Options.Prediction, nameof(options));
        for (var k = 0; k < grid.Count; k++)
            RequireDetermined(grid.Times[k], grid.Levels[k]);
        solver.Validate(grid);
        var start = grid.Levels[0];
        InitialScale = Options.InitialScale is { } scale
            ? Guard.Positive(scale, "options.InitialScale")
            : Math.Sqrt((start.Alpha * start.Alpha) + (start.Sigma * start.Sigma));
    }

    /// <summary>The times to visit.</summary>
    public TimeGrid Grid { get; }

    /// <summary>The method for one step.</summary>
    public ISolver Solver { get; }

    /// <summary>The prediction, the thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>The standard deviation of the noise that sampling starts from.</summary>
    public double InitialScale { get; }

    /// <inheritdoc/>
    public IEnumerable<SamplerState> Steps(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(request);
        Validate(request, Options);
        return Walk(denoiser, request, cancellationToken);
    }

    private IEnumerable<SamplerState> Walk(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var trajectory = new Trajectory(this, denoiser, request);
        yield return trajectory.State;
        for (var k = 0; k < Grid.Count; k++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            trajectory.Advance();
            yield return trajectory.State;
        }
    }

    private void RequireDetermined(double time, NoiseLevel level)
    {
        var previous = DenoiserEvaluator.PreviousLevel(Grid.Schedule, time, level);
        var data = Options.Prediction.ToData(level, previous);
        var noise = Options.Prediction.ToNoise(level, previous);
        if (!(double.IsFinite(data.First) && double.IsFinite(data.Second) && double.IsFinite(noise.First) && double.IsFinite(noise.Second)))
            throw new ArgumentException(
                $"The prediction '{Options.Prediction.Name}' does not determine x_0 and eps at time {time}, where alpha is {level.Alpha} and sigma "
                + $"{level.Sigma}; a schedule that ends without signal needs a network that predicts x_0 or v.");
    }

    private static void Validate(SamplingRequest request, SamplerOptions options)
    {
        ArgumentNullException.ThrowIfNull(request.Shape, "request.Shape");
        if (request.Shape.Length == 0 || Array.Exists(request.Shape, size => size < 1))
            throw new ArgumentException($"The shape must be [B, ...] of sizes of at least 1, got {Guard.Format(request.Shape)}.", nameof(request));
        Guard.InRange(request.FirstSample, 0L, long.MaxValue - request.Shape[0], "request.FirstSample");
        if (request.InitialSample is not null && request.InitialData is not null)
            throw new ArgumentException("A request starts from InitialSample or from InitialData, got both.", nameof(request));
        if ((request.InitialSample ?? request.InitialData) is { } initial)
        {
            var name = request.InitialSample is null ? "request.InitialData" : "request.InitialSample";
            Guard.Floating(initial, name);
            Guard.Shape(initial, request.Shape, name);
        }
        else if (request.Dtype is not (ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64))
        {
            throw new ArgumentException($"The type of the samples must be floating point, got {request.Dtype}.", nameof(request));
        }

        if (options.HasVarianceChannels && request.Shape.Length < 2)
            throw new ArgumentException(
                $"A network with variance channels needs samples [B, C, ...], got {Guard.Format(request.Shape)}.", nameof(request));
        if (request.Condition?.Labels is { } labels)
            Guard.Shape(labels, [request.Shape[0]], "request.Condition.Labels");
    }
}
