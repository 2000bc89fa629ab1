using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampling loop, which applies a solver for each step of a grid of times. The schedule and the prediction are those of the model.
/// Example: <c>new DiffusionSampler(new DpmMultistepSolver(), steps: 20).Sample(model, [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>A sampler is immutable. It can be used with any number of models and batches, and on several threads.</remarks>
public class DiffusionSampler : ISampler
{
    /// <summary>
    /// Initializes a new instance of the <see cref="DiffusionSampler"/> class with a number of steps of the schedule of the model.
    /// </summary>
    /// <param name="solver">The method for one step.</param>
    /// <param name="steps">N, at least 1, and at most the steps of a discrete schedule.</param>
    /// <param name="spacing">Selects the times of the schedule. The default is <see cref="TimeSpacing.Default"/>.</param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public DiffusionSampler(ISolver solver, int steps, TimeSpacing? spacing = null, SamplerOptions? options = null)
        : this(solver, Guard.InRange(steps, 1, int.MaxValue), spacing, options, grid: null)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="DiffusionSampler"/> class with a custom grid.</summary>
    /// <param name="grid">The times to visit. Their levels and timesteps are those of the schedule of the grid.</param>
    /// <param name="solver">The method for one step.</param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentException">
    /// The solver cannot use the grid, or the initial scale is not finite and greater than 0.
    /// </exception>
    public DiffusionSampler(TimeGrid grid, ISolver solver, SamplerOptions? options = null)
        : this(solver, steps: null, spacing: null, options, Guard.NotNull(grid))
        => solver.Validate(grid);

    /// <summary>
    /// Initializes a new instance of the <see cref="DiffusionSampler"/> class. If no number of steps and no grid is given, the sampler uses
    /// all steps of the schedule of the model, which must be discrete.
    /// </summary>
    private protected DiffusionSampler(ISolver solver, int? steps, TimeSpacing? spacing, SamplerOptions? options, TimeGrid? grid)
    {
        ArgumentNullException.ThrowIfNull(solver);
        (Solver, StepCount, Grid) = (solver, grid?.Count ?? steps, grid);
        (Spacing, Options) = (spacing ?? TimeSpacing.Default, options ?? new SamplerOptions());
        if (Options.InitialScale is { } scale)
            Guard.PositiveFactor(scale, "options.InitialScale");
    }

    /// <summary>The method for one step.</summary>
    public ISolver Solver { get; }

    /// <summary>N, the number of steps, or <see langword="null"/> for all steps of the schedule.</summary>
    public int? StepCount { get; }

    /// <summary>Selects the times of the schedule if there is no <see cref="Grid"/>.</summary>
    public TimeSpacing Spacing { get; }

    /// <summary>The custom grid, or <see langword="null"/> if the times are selected from the schedule of the model.</summary>
    public TimeGrid? Grid { get; }

    /// <summary>The options for thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>Returns the grid that this sampler uses for a schedule, which is <see cref="Grid"/> if it is set.</summary>
    /// <param name="schedule">The schedule of a model.</param>
    /// <exception cref="ArgumentException">
    /// The schedule has fewer steps than <see cref="StepCount"/>, or is continuous while <see cref="StepCount"/> is <see langword="null"/>.
    /// </exception>
    public TimeGrid GridFor(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (Grid is not null)
            return Grid;
        var steps = StepCount ?? (schedule as DiscreteSchedule)?.Steps ?? throw new ArgumentException(
            $"{schedule.GetType().Name} is continuous, so the sampler needs a number of steps.", nameof(schedule));
        return Spacing.CreateGrid(schedule, steps);
    }

    /// <summary>Returns the standard deviation of the noise from which sampling starts on a schedule.</summary>
    /// <inheritdoc cref="GridFor"/>
    public double InitialScaleFor(INoiseSchedule schedule) => RequestStart.Scale(Options, GridFor(schedule).Levels[0]);

    /// <inheritdoc/>
    public IEnumerable<SamplerState> Steps(DiffusionModel model, SamplingRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        RequestStart.Validate(request, model);
        var grid = GridFor(model.Schedule);
        for (var k = 0; k < grid.Count; k++)
            RequestStart.RequireDetermined(model, grid.Schedule, grid.Times[k], grid.Levels[k]);
        if (Grid is null)
            Solver.Validate(grid);
        return Walk(grid, model, request, cancellationToken);
    }

    private IEnumerable<SamplerState> Walk(
        TimeGrid grid, DiffusionModel model, SamplingRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var trajectory = new Trajectory(this, grid, model, request);
        yield return trajectory.State();
        for (var k = 0; k < grid.Count; k++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            trajectory.Advance();
            yield return trajectory.State();
        }
    }
}

/// <summary>The options of a sampler for thresholding and the initial noise.</summary>
public sealed record SamplerOptions
{
    /// <summary>
    /// The thresholding of each predicted x_0. The default is <see langword="null"/>: x_0 is clipped to the
    /// <see cref="DiffusionModel.DataRange"/> of the model. <see cref="Thresholding.None"/> disables clipping.
    /// </summary>
    public Thresholding? Threshold { get; init; }

    /// <summary>
    /// Whether eps is derived from x_t and the thresholded x_0, so that the two are consistent and the trajectory is the same for every
    /// type of prediction. If <see langword="false"/>, the predicted eps is used with the thresholded x_0, as in diffusers' DDIM without
    /// <c>use_clipped_model_output</c>. Without thresholding there is no difference. The default is <see langword="true"/>.
    /// </summary>
    public bool RederiveNoise { get; init; } = true;

    /// <summary>
    /// The standard deviation of the noise from which sampling starts. The default is <see langword="null"/>:
    /// <c>sqrt(alpha^2 + sigma^2)</c> at the start of the grid, which is the standard deviation of noisy data of unit variance. It is 1 for
    /// variance-preserving processes.
    /// </summary>
    public double? InitialScale { get; init; }
}
