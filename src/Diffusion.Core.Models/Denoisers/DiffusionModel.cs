using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network together with the settings of its training: the noise schedule, the type of the prediction, whether the variance is
/// learned, and the range of the data. Losses, samplers, guidance and likelihoods read these settings from the model, so that they are
/// specified only once: <c>new DiffusionModel(unet, DiscreteSchedule.Cosine(steps: 1000))</c>.
/// </summary>
/// <remarks>
/// <para>A model is immutable, except for the weights of the network. It can be used from several threads if the network can.</para>
/// <para>Tables of coefficients of the schedule are computed on first use, and shared with the models that
/// <see cref="With(IDenoiser)"/> and <see cref="With(DataRange)"/> return. <see cref="Dispose"/> frees them. It disposes the network
/// only if <see cref="Load(string, Device?, ModelFormat?)"/> created it.</para>
/// </remarks>
public sealed class DiffusionModel : IDisposable
{
    /// <summary>The name of the file that contains the description of a saved model or of a checkpoint.</summary>
    public const string DescriptionFileName = "model.json";

    private readonly Lazy<ForwardProcess> _process;
    private readonly bool _ownsProcess;
    private readonly IDisposable? _ownedNetwork;

    /// <summary>Creates a model from a network and its noise schedule.</summary>
    /// <param name="network">The network. The caller must dispose it after the model.</param>
    /// <param name="schedule">The noise schedule that the network is trained with.</param>
    /// <param name="prediction">The quantity that the network predicts. The default is <see cref="Prediction.Epsilon"/>.</param>
    public DiffusionModel(IDenoiser network, INoiseSchedule schedule, Prediction? prediction = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(schedule);
        schedule.Validate();
        (Network, Schedule, Prediction) = (network, schedule, prediction ?? Prediction.Epsilon);
        (_process, _ownsProcess) = (new Lazy<ForwardProcess>(() => new ForwardProcess(schedule)), true);
    }

    /// <summary>Creates a model that disposes <paramref name="ownedNetwork"/>.</summary>
    internal DiffusionModel(IDenoiser network, INoiseSchedule schedule, Prediction prediction, IDisposable? ownedNetwork)
        : this(network, schedule, prediction)
        => _ownedNetwork = ownedNetwork;

    private DiffusionModel(DiffusionModel other, IDenoiser network, INoiseSchedule schedule, DataRange? dataRange)
    {
        (Network, Schedule, Prediction) = (network, schedule, other.Prediction);
        (LearnsVariance, DataRange, NullLabel, Metadata) = (other.LearnsVariance, dataRange, other.NullLabel, other.Metadata);
        if (ReferenceEquals(schedule, other.Schedule))
        {
            (_process, _ownsProcess) = (other._process, false);
            return;
        }

        schedule.Validate();
        (_process, _ownsProcess) = (new Lazy<ForwardProcess>(() => new ForwardProcess(schedule)), true);
    }

    /// <summary>The network.</summary>
    public IDenoiser Network { get; }

    /// <summary>The noise schedule that the network is trained with.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>The quantity that the network predicts.</summary>
    public Prediction Prediction { get; }

    /// <summary>
    /// <see langword="true"/> if the network returns twice the channels of x_t, [B, 2C, ...]: the prediction, followed by v, from
    /// which the variance of a reverse step is computed (Nichol and Dhariwal 2021, eq. 15). The default is <see langword="false"/>.
    /// </summary>
    public bool LearnsVariance { get; init; }

    /// <summary>
    /// The range of the data, to which samplers clip the predicted x_0. The default is <see langword="null"/>:
    /// <see cref="DataRange.Images"/> for batches with three or more dimensions, [B, C, ...], and <see cref="DataRange.Unbounded"/> for
    /// vectors, [B, D]. Specify <see cref="DataRange.Unbounded"/> for latents, whose values are not limited.
    /// </summary>
    public DataRange? DataRange { get; init; }

    /// <summary>
    /// The label that stands for "no class", for classifier-free guidance. The default is <see langword="null"/>: none.
    /// </summary>
    public long? NullLabel { get; init; }

    /// <summary>
    /// Text that is saved with the model, by key, such as the licence or the name of the training set. The default is empty.
    /// </summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>The device of the network; <see langword="null"/> if it accepts tensors on any device.</summary>
    public Device? Device => Network.Device;

    /// <summary>
    /// The forward process q(x_t | x_0) of the schedule, with the tables that losses compute from the schedule. It must not be disposed.
    /// </summary>
    public ForwardProcess Process => _process.Value;

    /// <summary>Returns this model with another network, such as the same network with guidance or with averaged weights.</summary>
    /// <param name="network">The network. It is not disposed.</param>
    /// <returns>A model that shares the tables of this one, and must not be used after this one is disposed.</returns>
    public DiffusionModel With(IDenoiser network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return new DiffusionModel(this, network, Schedule, DataRange);
    }

    /// <summary>Returns this model with another schedule, such as one with fewer steps.</summary>
    /// <param name="schedule">The schedule; its timesteps must be those that the network was trained with.</param>
    /// <returns>A model with separate tables, unless the schedule is that of this model. The caller must dispose it.</returns>
    public DiffusionModel With(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return new DiffusionModel(this, Network, schedule, DataRange);
    }

    /// <summary>Returns this model with another range of the data.</summary>
    /// <param name="range">The range to which samplers clip the predicted x_0.</param>
    /// <returns>A model that shares the tables of this one, and must not be used after this one is disposed.</returns>
    public DiffusionModel With(DataRange range)
    {
        ArgumentNullException.ThrowIfNull(range);
        return new DiffusionModel(this, Network, Schedule, range);
    }

    /// <summary>Returns <see cref="DataRange"/>, or its default for batches of the given shape.</summary>
    /// <param name="shape">The shape of a batch, [B, ...].</param>
    public DataRange RangeOf(ReadOnlySpan<long> shape) => DataRange ?? (shape.Length > 2 ? DataRange.Images : DataRange.Unbounded);

    /// <summary>
    /// Prepares the network for sampling until the returned scope is disposed; see <see cref="IDenoiser.BeginInference"/>.
    /// </summary>
    public IDisposable? BeginInference() => Network.BeginInference();

    /// <summary>
    /// Returns the name of a tensor of a condition that the network ignores, such as <see cref="Condition.Labels"/> for a network without
    /// classes; <see langword="null"/> if it reads all of them, or if that is not known, as for a custom network.
    /// </summary>
    /// <param name="condition">The condition.</param>
    public string? UnusedPart(Condition condition)
    {
        ArgumentNullException.ThrowIfNull(condition);
        var network = Network;
        while (network is DelegatingDenoiser wrapper)
            network = wrapper.Inner;
        return (network as DenoisingNetwork)?.UnusedPart(condition);
    }

    /// <summary>The output of the network for a batch in which each sample has its own time, as in training.</summary>
    /// <param name="xt">[B, ...] noisy data at the noise levels of <paramref name="t"/>.</param>
    /// <param name="t">
    /// [B] times of the schedule: int64 indices of a discrete schedule, floating point on the CPU of a continuous one. They are moved
    /// to the device of <paramref name="xt"/>.
    /// </param>
    /// <param name="condition">The condition, with the same batch size, or <see langword="null"/>.</param>
    /// <returns>
    /// A tensor of the type of <paramref name="xt"/> and of its shape, or [B, 2C, ...] if <see cref="LearnsVariance"/> is
    /// <see langword="true"/>. The caller must dispose the tensor.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// A time is outside the schedule, an input has a wrong shape or type, or the output is invalid: it has a wrong shape or device,
    /// is not floating point, or is <see langword="null"/> or the input itself.
    /// </exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        ArgumentNullException.ThrowIfNull(t);
        using var input = Process.NetworkInput(Prediction, xt, t);
        using var timesteps = Process.ModelTimesteps(t);
        using var onDevice = timesteps.to(xt.device, non_blocking: true);
        return Checked(Network.Predict(input, onDevice, condition), input, xt);
    }

    /// <summary>Computes the prediction of the model for a batch in which all samples have the same time, as in sampling.</summary>
    /// <param name="x">
    /// [B, ...] a sample at <paramref name="level"/>. It must not be modified in place while the prediction is in use.
    /// </param>
    /// <param name="time">The time of the schedule, from which the timestep passed to the network is computed.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="condition">The condition, with the same batch size, or <see langword="null"/>.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">
    /// The output of the network is invalid: it has a wrong shape or device, is not floating point, or is <see langword="null"/> or
    /// the input itself.
    /// </exception>
    public ModelPrediction Predict(Tensor x, double time, NoiseLevel level, Condition? condition = null)
        => PredictAt(x, time, level, x, level, condition);

    /// <summary>
    /// Computes the prediction of the model for one sample, and derives x_0 and eps for another sample. Used by methods that call the
    /// network before they add noise to the sample.
    /// </summary>
    /// <param name="x">[B, ...] the sample at <paramref name="level"/> that is passed to the network.</param>
    /// <param name="time">The time of the schedule, from which the timestep passed to the network is computed.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="sample">
    /// The sample for which x_0 and eps are derived, with the shape and type of <paramref name="x"/>. It must not be modified in place
    /// while the prediction is in use.
    /// </param>
    /// <param name="sampleLevel">alpha and sigma of <paramref name="sample"/>.</param>
    /// <param name="condition">The condition, with the same batch size, or <see langword="null"/>.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">
    /// The shapes, types or devices of the samples differ, or the output of the network is invalid.
    /// </exception>
    public ModelPrediction PredictAt(
        Tensor x, double time, NoiseLevel level, Tensor sample, NoiseLevel sampleLevel, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!ReferenceEquals(x, sample))
        {
            Guard.SameShape(x, sample);
            Guard.SameType(x, sample);
        }

        var scale = Prediction.InputScale?.Invoke(level) ?? 1.0;
        using var scaled = scale == 1.0 ? null : x.Mul(scale);
        using var timesteps = Timesteps(x, time);
        var output = Checked(Network.Predict(scaled ?? x, timesteps, condition), scaled ?? x, x);
        var previous = Schedule.PreviousLevel(time, sampleLevel);
        return ModelPrediction.Of(this, time, sampleLevel, previous, sample, output);
    }

    /// <summary>
    /// Saves the model to a folder: <c>model.json</c>, which contains the class and the options of the network, the schedule, the
    /// prediction and the other settings of the model, and <c>model.safetensors</c>, which contains the weights. If an exception is
    /// thrown, the previous contents of the folder are unchanged.
    /// </summary>
    /// <remarks>
    /// <para>A discrete schedule is saved as its betas, and a prediction as its name and parameters. If the class of the network or of
    /// the schedule is not registered in <paramref name="format"/>, only the name of the class is saved. Such a network must be passed
    /// to <see cref="Load(string, IDenoiser, ModelFormat?)"/>; a custom schedule must be registered before the model is saved and
    /// loaded, and a custom prediction before it is loaded.</para>
    /// <para>If the network has averaged weights, such as those of a trainer, the averages are saved.</para>
    /// </remarks>
    /// <param name="folder">The folder, which is created if it does not exist. A model in the folder is replaced.</param>
    /// <param name="format">The registered classes. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <exception cref="NotSupportedException">The network is not an <see cref="ITrainableDenoiser"/>.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Save(string folder, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        SavedModel.Save(this, folder, format ?? ModelFormat.Default);
    }

    /// <summary>Returns the description of the model, which is the contents of <see cref="DescriptionFileName"/>.</summary>
    /// <param name="weightsFileName">The name of the file in the same folder that contains the weights.</param>
    /// <param name="format">The registered classes. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>Indented JSON.</returns>
    public string Describe(string weightsFileName, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(weightsFileName);
        return SavedModel.Describe(this, format ?? ModelFormat.Default, weightsFileName);
    }

    /// <summary>
    /// Loads a model from a folder that <see cref="Save"/> wrote, or from a checkpoint of a trainer, with its averaged weights.
    /// </summary>
    /// <param name="folder">The folder. If it is a folder of checkpoints, the newest checkpoint is loaded.</param>
    /// <param name="device">The device of the network. The default is the CPU.</param>
    /// <param name="format">The registered classes. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>A model whose network is in evaluation mode and is disposed with the model. The caller must dispose the model.</returns>
    /// <exception cref="FileNotFoundException">The folder does not contain a model.</exception>
    /// <exception cref="InvalidDataException">A file is invalid, or the weights do not match the network.</exception>
    /// <exception cref="NotSupportedException">The network, the schedule or the prediction is not registered.</exception>
    public static DiffusionModel Load(string folder, Device? device = null, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return SavedModel.Load(folder, null, device, format ?? ModelFormat.Default);
    }

    /// <summary>Loads a model, and copies its weights to an existing network. Used for networks whose class is not registered.</summary>
    /// <param name="folder">The folder. If it is a folder of checkpoints, the newest checkpoint is loaded.</param>
    /// <param name="network">The network, whose weights are replaced. It is not disposed.</param>
    /// <param name="format">The registered classes. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>A model with the given network. The caller must dispose the model.</returns>
    /// <exception cref="FileNotFoundException">The folder does not contain a model.</exception>
    /// <exception cref="InvalidDataException">A file is invalid, or the network does not match the saved one.</exception>
    /// <exception cref="NotSupportedException">
    /// The schedule or the prediction is not registered, or the network is not an <see cref="ITrainableDenoiser"/>.
    /// </exception>
    public static DiffusionModel Load(string folder, IDenoiser network, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(network);
        return SavedModel.Load(folder, network, null, format ?? ModelFormat.Default);
    }

    /// <summary>
    /// Frees the tables, unless they belong to the model from which this one was created, and the network if
    /// <see cref="Load(string, Device?, ModelFormat?)"/> created it.
    /// </summary>
    public void Dispose()
    {
        if (_ownsProcess && _process.IsValueCreated)
            _process.Value.Dispose();
        _ownedNetwork?.Dispose();
    }

    /// <summary>
    /// Creates the timesteps passed to the network, [B]: int64 if the schedule is discrete and the timestep is an integer, otherwise
    /// floating point.
    /// </summary>
    private Tensor Timesteps(Tensor x, double time)
    {
        long[] size = [x.shape[0]];
        var timestep = Schedule.ModelTimestep(time);
        return Schedule is DiscreteSchedule && Math.Floor(timestep) == timestep
            ? Scalars.Full(size, (long)timestep, ScalarType.Int64, x.device)
            : Scalars.Full(size, timestep, x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32, x.device);
    }

    /// <summary>Checks the output of the network, and converts it to the type of x_t.</summary>
    private Tensor Checked(Tensor? output, Tensor input, Tensor xt)
    {
        if (output is null)
            throw new ArgumentException("The network must return a tensor, got null.");
        if (output.IsInvalid)
            throw new ArgumentException(
                "The network returned a disposed tensor. If it uses a dispose scope, return the result of MoveToOuterDisposeScope(), and do not "
                + "dispose the result before it is returned.");
        if (ReferenceEquals(output, input))
            throw new ArgumentException("The network must return a new tensor, got its own input.");
        if (Fault(output, xt) is { } fault)
        {
            output.Dispose();
            throw new ArgumentException(fault);
        }

        if (output.dtype == xt.dtype)
            return output;
        using var other = output;
        return other.to(xt.dtype);
    }

    /// <summary>Returns a message if an output is invalid, otherwise <see langword="null"/>.</summary>
    private string? Fault(Tensor output, Tensor xt)
    {
        var expected = xt.shape;
        if (LearnsVariance && expected.Length < 2)
            return $"A learned variance needs samples [B, C, ...], got {Guard.Format(xt.shape)}.";
        if (LearnsVariance)
            expected[1] *= 2;
        if (!output.shape.AsSpan().SequenceEqual(expected))
            return $"The network must return shape {Guard.Format(expected)} for an input of {Guard.Format(xt.shape)}, got {Guard.Format(output.shape)}.";
        return output.is_floating_point() && output.device_type == xt.device_type
            ? null
            : $"The network must return floating point on {xt.device_type}, got {output.dtype} on {output.device_type}.";
    }
}
