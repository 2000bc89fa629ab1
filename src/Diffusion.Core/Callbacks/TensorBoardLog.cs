using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Diffusion.Core;

/// <summary>Writes reports, metrics and images for TensorBoard: <c>tensorboard --logdir FOLDER</c>.</summary>
/// <remarks>
/// Each call of <see cref="Trainer{TBatch}.Fit"/> writes a new file. When a run is resumed, TensorBoard ignores the earlier values of the
/// steps that are repeated.
/// </remarks>
/// <param name="folder">The folder of the event files. It is created if it does not exist.</param>
public sealed class TensorBoardLog(string folder) : TrainerCallback
{
    private EventFile? _file;

    /// <inheritdoc/>
    public override bool IsRecord => true;

    /// <inheritdoc/>
    public override void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file = new EventFile(folder, run.Step == 0 ? null : run.Step + 1);
    }

    /// <inheritdoc/>
    public override void Reported(TrainingRun run, TrainingProgress progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var step = progress.Step;
        _file?.AddScalar("train/loss", progress.Loss, step);
        _file?.AddScalar("train/learning_rate", progress.LearningRate, step);
        _file?.AddScalar("train/gradient_norm", progress.GradientNorm, step);
        _file?.AddScalar("train/samples_per_second", progress.SamplesPerSecond, step);
        _file?.AddScalar("train/data_wait", progress.DataWait.TotalSeconds, step);
        _file?.AddScalar("train/skipped_steps", progress.SkippedSteps, step);
        foreach (var (name, value) in progress.Metrics)
            _file?.AddScalar($"train/{name}", value, step);
    }

    /// <inheritdoc/>
    public override void MetricLogged(TrainingRun run, string name, double value)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file?.AddScalar(name, value, run.Step);
    }

    /// <inheritdoc/>
    public override void ImageLogged(TrainingRun run, string name, string path)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file?.AddImage(name, DiskFile.ReadBytes(path), run.Step);
    }
}

/// <summary>
/// A TensorBoard event file, which contains scalars and images by step. Each is written to the file before the method returns.
/// </summary>
/// <remarks>
/// Sources: TensorFlow, "TFRecord and tf.train.Example" (records with masked CRC-32C), and the protocol buffer messages <c>Event</c> and
/// <c>Summary</c> of event.proto and summary.proto.
/// </remarks>
internal sealed class EventFile
{
    // SummaryWriter of TorchSharp 0.107 cannot replace this class. It has no purge_step and writes no SessionLog event, so that TensorBoard
    // would show the steps that a resumed run repeats twice. Its add_img decodes with SkiaSharp, whose native library for Linux is not part
    // of the package.

    // The wire types of protocol buffers, which are the lowest three bits of the key of a field.
    private const int Varint = 0;
    private const int Fixed64 = 1;
    private const int Bytes = 2;
    private const int Fixed32 = 5;

    /// <summary>Creates a new file in a folder. The folder is created if it does not exist.</summary>
    /// <param name="folder">The folder that is passed to TensorBoard as <c>--logdir</c>, or a folder in it.</param>
    /// <param name="firstStep">
    /// The first step of a resumed run: TensorBoard ignores this step and later ones in earlier files of the folder. The default is
    /// <see langword="null"/>: earlier files remain valid.
    /// </param>
    /// <exception cref="IOException">The file cannot be created.</exception>
    public EventFile(string folder, long? firstStep = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        DiskFile.CreateFolder(folder);
        for (var seconds = DateTimeOffset.UtcNow.ToUnixTimeSeconds(); ; seconds++)
        {
            // TensorBoard reads the files whose names contain "tfevents", in the order of their names.
            FilePath = Path.Combine(Path.GetFullPath(folder), $"events.out.tfevents.{seconds:D10}.diffusion-core");
            if (!Path.Exists(FilePath))
                break;
        }

        Append(0, message => Field(message, 3, "brain.Event:2"u8));
        if (firstStep is { } first)
            Append(first, message => Field(message, 7, [(1 << 3) | Varint, 1]));
    }

    /// <summary>The full path of the file.</summary>
    public string FilePath { get; }

    /// <summary>Adds a scalar.</summary>
    /// <param name="tag">The name of the chart, such as <c>train/loss</c>.</param>
    /// <param name="value">The value, which is rounded to float32.</param>
    /// <param name="step">The step to which the value belongs.</param>
    /// <exception cref="IOException">The file cannot be written to.</exception>
    public void AddScalar(string tag, double value, long step)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(tag);
        AddSummary(tag, step, message =>
        {
            Key(message, 2, Fixed32);
            Span<byte> bytes = stackalloc byte[sizeof(float)];
            BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)value);
            message.Write(bytes);
        });
    }

    /// <summary>Adds an image.</summary>
    /// <param name="tag">The name of the series of images, such as <c>samples</c>.</param>
    /// <param name="png">The content of a PNG file.</param>
    /// <param name="step">The step to which the image belongs.</param>
    /// <exception cref="ArgumentException">The content is not that of a PNG file.</exception>
    /// <exception cref="IOException">The file cannot be written to.</exception>
    public void AddImage(string tag, ReadOnlySpan<byte> png, long step)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(tag);
        if (png.Length < 26 || !png.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G']))
            throw new ArgumentException("The image must be a PNG file.", nameof(png));
        var image = new MemoryStream();
        // The first chunk contains the size and the colour type. The colour space of TensorBoard is the number of channels.
        Number(image, 1, BinaryPrimitives.ReadInt32BigEndian(png[20..]));
        Number(image, 2, BinaryPrimitives.ReadInt32BigEndian(png[16..]));
        Number(image, 3, png[25] switch { 0 => 1, 4 => 2, 6 => 4, _ => 3 });
        Field(image, 4, png);
        AddSummary(tag, step, message => Field(message, 4, image.ToArray()));
    }

    /// <summary>
    /// Returns the masked CRC-32C of TFRecord: the CRC is rotated and a constant is added, because a CRC of data that contains CRCs is
    /// weak.
    /// </summary>
    internal static uint MaskedCrc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return unchecked(BitOperations.RotateRight(~crc, 15) + 0xA282EAD8u);
    }

    private static void Key(Stream message, int field, int type) => message.WriteByte((byte)((field << 3) | type));

    private static void Unsigned(Stream message, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            message.WriteByte((byte)(value | 0x80));
        message.WriteByte((byte)value);
    }

    private static void Number(Stream message, int field, long value)
    {
        Key(message, field, Varint);
        Unsigned(message, unchecked((ulong)value));
    }

    private static void Field(Stream message, int field, ReadOnlySpan<byte> bytes)
    {
        Key(message, field, Bytes);
        Unsigned(message, (ulong)bytes.Length);
        message.Write(bytes);
    }

    private void AddSummary(string tag, long step, Action<Stream> write)
    {
        var value = new MemoryStream();
        Field(value, 1, Encoding.UTF8.GetBytes(tag));
        write(value);
        var summary = new MemoryStream();
        Field(summary, 1, value.ToArray());
        Append(step, message => Field(message, 5, summary.ToArray()));
    }

    private void Append(long step, Action<Stream> write)
    {
        var message = new MemoryStream();
        Key(message, 1, Fixed64);
        Span<byte> time = stackalloc byte[sizeof(double)];
        BinaryPrimitives.WriteDoubleLittleEndian(time, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1e3);
        message.Write(time);
        if (step != 0)
            Number(message, 2, step);
        write(message);

        var data = message.ToArray();
        var record = new byte[sizeof(ulong) + sizeof(uint) + data.Length + sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(sizeof(ulong)), MaskedCrc(record.AsSpan(0, sizeof(ulong))));
        data.CopyTo(record, sizeof(ulong) + sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(record.Length - sizeof(uint)), MaskedCrc(data));
        DiskFile.Append(FilePath, record);
    }
}
