using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network together with what it was trained on: the noise schedule, what its output means, whether it learns the variance, and the
/// range of the data. Losses, samplers, guidance and likelihoods read all of this from the model, so that it is stated once:
/// <c>new DiffusionModel(unet, DiscreteSchedule.Cosine(steps: 1000))</c>.
/// </summary>
/// <remarks>
/// <para>Immutable, except for the weights of the network. May be used from several threads if the network may.</para>
/// <para>Tables that follow from the schedule are created on first use and shared with the models that <see cref="With(IDenoiser)"/> returns.
/// <see cref="Dispose"/> frees them. It disposes the network only if <see cref="Load(string, Device?, ModelFormat?)"/> created it.</para>
/// </remarks>
public sealed class DiffusionModel : IDisposable
{
    /// <summary>The file of a saved model, or of a checkpoint, that describes it.</summary>
    public const string DescriptionFileName = "model.json";

    private readonly Lazy<ForwardProcess> _process;
    private readonly bool _ownsProcess;
    private readonly IDisposable? _ownedNetwork;

    /// <summary>A model of a network.</summary>
    /// <param name="network">The network. The caller must dispose it after the model.</param>
    /// <param name="schedule">The noise schedule that the network is trained with.</param>
    /// <param name="prediction">What the output of the network means. The default is <see cref="Prediction.Epsilon"/>.</param>
    public DiffusionModel(IDenoiser network, INoiseSchedule schedule, Prediction? prediction = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(schedule);
        schedule.Validate();
        (Network, Schedule, Prediction) = (network, schedule, prediction ?? Prediction.Epsilon);
        (_process, _ownsProcess) = (new Lazy<ForwardProcess>(() => new ForwardProcess(schedule)), true);
    }

    /// <summary>A model that disposes its network.</summary>
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

    /// <summary>What the output of the network means.</summary>
    public Prediction Prediction { get; }

    /// <summary>
    /// True if the network returns twice the channels of x_t, [B, 2C, ...]: the prediction, then what it learned about the variance of a
    /// reverse step (Nichol and Dhariwal 2021, eq. 15). The default is <see langword="false"/>.
    /// </summary>
    public bool LearnsVariance { get; init; }

    /// <summary>
    /// The range of the data, to which samplers clip a predicted x_0. The default, <see langword="null"/>, is <see cref="DataRange.Images"/>
    /// for samples of three and more dimensions [B, C, ...], and <see cref="DataRange.Unbounded"/> for points [B, D]. Latents have as many
    /// dimensions as images and no range: pass <see cref="DataRange.Unbounded"/>.
    /// </summary>
    public DataRange? DataRange { get; init; }

    /// <summary>The label that stands for "no class", for classifier-free guidance. The default is <see langword="null"/>: none.</summary>
    public long? NullLabel { get; init; }

    /// <summary>Free text that is saved with the model, such as a licence or a training set. The default is empty.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>The device of the network; <see langword="null"/> if it accepts tensors on any device.</summary>
    public Device? Device => Network.Device;

    /// <summary>
    /// q(x_t | x_0) of the schedule, and the tables that losses derive from the schedule. Owned by the model.
    /// </summary>
    public ForwardProcess Process => _process.Value;

    /// <summary>The same model with another network, such as the same one with guidance or with averaged weights.</summary>
    /// <param name="network">The network. It is not disposed.</param>
    /// <returns>A model that shares the tables of this one. Use it no longer than this one.</returns>
    public DiffusionModel With(IDenoiser network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return new DiffusionModel(this, network, Schedule, DataRange);
    }

    /// <summary>The same network on another schedule, such as one with fewer steps.</summary>
    /// <param name="schedule">The schedule; its timesteps must be those that the network was trained with.</param>
    /// <returns>A model with its own tables.</returns>
    public DiffusionModel With(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return new DiffusionModel(this, Network, schedule, DataRange);
    }

    /// <summary>The same model of data with another range.</summary>
    /// <param name="range">The range, to which samplers clip.</param>
    /// <returns>A model that shares the tables of this one. Use it no longer than this one.</returns>
    public DiffusionModel With(DataRange range)
    {
        ArgumentNullException.ThrowIfNull(range);
        return new DiffusionModel(this, Network, Schedule, range);
    }

    /// <summary>The range of samples of a shape: <see cref="DataRange"/>, or its default for that shape.</summary>
    /// <param name="shape">[B, ...] the shape of a batch.</param>
    public DataRange RangeOf(ReadOnlySpan<long> shape) => DataRange ?? (shape.Length > 2 ? DataRange.Images : DataRange.Unbounded);

    /// <summary>Prepares the network for sampling until the returned scope is disposed; see <see cref="IDenoiser.BeginInference"/>.</summary>
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
    /// [B] times of the schedule: int64 indices of a discrete schedule, floating point on the CPU of a continuous one. They are moved to the
    /// device of <paramref name="xt"/>.
    /// </param>
    /// <param name="condition">Of the same batch size, or <see langword="null"/>.</param>
    /// <returns>
    /// The shape and type of <paramref name="xt"/>, or [B, 2C, ...] with <see cref="LearnsVariance"/>. The caller must dispose the tensor.
    /// </returns>
    /// <exception cref="ArgumentException">A shape does not fit, a time is outside the schedule, or the output has another shape.</exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        ArgumentNullException.ThrowIfNull(t);
        using var input = Process.NetworkInput(Prediction, xt, t);
        using var timesteps = Process.ModelTimesteps(t);
        using var onDevice = timesteps.to(xt.device, non_blocking: true);
        return Checked(Network.Predict(input, onDevice, condition), input, xt);
    }

    /// <summary>The prediction of the network for a batch in which all samples have the same time, as in sampling.</summary>
    /// <param name="x">[B, ...] a sample at <paramref name="level"/>. It must not change while the prediction is in use.</param>
    /// <param name="time">A time of the schedule, from which the timestep passed to the network follows.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="condition">Of the same batch size, or <see langword="null"/>.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">The output of the network has another shape, or another device.</exception>
    public ModelPrediction Predict(Tensor x, double time, NoiseLevel level, Condition? condition = null)
        => PredictAt(x, time, level, x, level, condition);

    /// <summary>
    /// As <see cref="Predict(Tensor, double, NoiseLevel, Condition?)"/>, with x_0 and eps derived for another sample than the one that the
    /// network received: for methods that call the network before they add noise to the sample.
    /// </summary>
    /// <param name="x">[B, ...] what the network receives, a sample at <paramref name="level"/>.</param>
    /// <param name="time">A time of the schedule, from which the timestep passed to the network follows.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="sample">The shape and type of <paramref name="x"/>: the sample that x_0 and eps are derived for.</param>
    /// <param name="sampleLevel">alpha and sigma of <paramref name="sample"/>.</param>
    /// <param name="condition">Of the same batch size, or <see langword="null"/>.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
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
    /// prediction and everything else that is stated here, and <c>model.safetensors</c> with the weights. The folder appears whole or not at
    /// all.
    /// </summary>
    /// <remarks>
    /// A discrete schedule is saved by its betas. A network, schedule or prediction of a class that <paramref name="format"/> does not know
    /// is saved by the name of its class: <see cref="Load(string, IDenoiser, ModelFormat?)"/> then takes the network from the caller, and a
    /// custom schedule or prediction must be registered to be loaded. Of averaged weights, such as those of a trainer, the average is saved.
    /// </remarks>
    /// <param name="folder">The folder, which is created if it is missing. A model that is there is replaced.</param>
    /// <param name="format">The classes that are known. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <exception cref="NotSupportedException">The network has no weights.</exception>
    /// <exception cref="IOException">The folder cannot be written; it is as it was.</exception>
    public void Save(string folder, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        SavedModel.Save(this, folder, format ?? ModelFormat.Default);
    }

    /// <summary>The description of the model, the text of <see cref="DescriptionFileName"/>.</summary>
    /// <param name="weightsFileName">The name of the file with the weights, in the same folder.</param>
    /// <param name="format">The classes that are known. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>Indented JSON.</returns>
    public string Describe(string weightsFileName, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(weightsFileName);
        return SavedModel.Describe(this, format ?? ModelFormat.Default, weightsFileName);
    }

    /// <summary>Loads a model from a folder that <see cref="Save"/> wrote, or from a checkpoint of a trainer, with its averaged weights.</summary>
    /// <param name="folder">The folder; of a folder of checkpoints, the newest is loaded.</param>
    /// <param name="device">Where the network goes. The default is the CPU.</param>
    /// <param name="format">The classes that are known. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>A model whose network is in evaluation mode, and is disposed with the model. The caller must dispose the model.</returns>
    /// <exception cref="FileNotFoundException">There is no model.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not fit the network.</exception>
    /// <exception cref="NotSupportedException">The class of the network, the schedule or the prediction is not known.</exception>
    public static DiffusionModel Load(string folder, Device? device = null, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return SavedModel.Load(folder, null, device, format ?? ModelFormat.Default);
    }

    /// <summary>Loads a model into a network of the caller, for classes of networks that are not registered.</summary>
    /// <param name="folder">The folder; of a folder of checkpoints, the newest is loaded.</param>
    /// <param name="network">The network, whose weights are replaced. It is not disposed.</param>
    /// <param name="format">The classes that are known. The default is <see cref="ModelFormat.Default"/>.</param>
    /// <returns>A model of the network. The caller must dispose it.</returns>
    /// <exception cref="FileNotFoundException">There is no model.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the network is not the one that was saved.</exception>
    /// <exception cref="NotSupportedException">The schedule or the prediction is not known, or the network has no weights.</exception>
    public static DiffusionModel Load(string folder, IDenoiser network, ModelFormat? format = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(network);
        return SavedModel.Load(folder, network, null, format ?? ModelFormat.Default);
    }

    /// <summary>Frees the tables of the model, and the network if the model was loaded with it.</summary>
    public void Dispose()
    {
        if (_ownsProcess && _process.IsValueCreated)
            _process.Value.Dispose();
        _ownedNetwork?.Dispose();
    }

    /// <summary>[B] the timestep passed to the network: an index where a discrete schedule has one, otherwise a floating point number.</summary>
    private Tensor Timesteps(Tensor x, double time)
    {
        long[] size = [x.shape[0]];
        var timestep = Schedule.ModelTimestep(time);
        return Schedule is DiscreteSchedule && Math.Floor(timestep) == timestep
            ? Scalars.Full(size, (long)timestep, ScalarType.Int64, x.device)
            : Scalars.Full(size, timestep, x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32, x.device);
    }

    /// <summary>The output of the network in the type of x_t.</summary>
    private Tensor Checked(Tensor? output, Tensor input, Tensor xt)
    {
        if (output is null)
            throw new ArgumentException("The network must return a tensor, got null.");
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

    /// <summary>What is wrong with an output; <see langword="null"/> for nothing.</summary>
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
