namespace Diffusion.Core.Schedules;

/// <summary>
/// A schedule whose log-SNR is moved by the size of the images, since neighbouring pixels of a large image average the noise away:
/// <c>logSNR(t) + 2 log(noiseSize / imageSize)</c>, or between two such shifts. Preserves variance; times are those of the schedule.
/// </summary>
/// <remarks>Source: Hoogeboom, Heek and Salimans 2023, "simple diffusion", section 3.1.</remarks>
public sealed class ResolutionShiftedSchedule : INoiseSchedule
{
    private readonly double _shiftAtData;
    private readonly double _shiftAtNoise;

    private ResolutionShiftedSchedule(int imageSize, int noiseSizeAtData, int noiseSizeAtNoise, INoiseSchedule? schedule)
    {
        Guard.Positive(imageSize);
        Schedule = schedule ?? new CosineLogSnrSchedule(-15.0, 15.0);
        (ImageSize, NoiseSizeLow, NoiseSizeHigh) = (imageSize, noiseSizeAtNoise, noiseSizeAtData);
        _shiftAtData = 2.0 * Math.Log((double)noiseSizeAtData / imageSize);
        _shiftAtNoise = 2.0 * Math.Log((double)noiseSizeAtNoise / imageSize);
        LogSnrSearch.RequireFalling(this, nameof(schedule));
    }

    /// <summary>The schedule that is shifted.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>The height and width of the images.</summary>
    public int ImageSize { get; }

    /// <summary>The size at whose noise the schedule ends.</summary>
    public int NoiseSizeLow { get; }

    /// <summary>The size at whose noise the schedule starts.</summary>
    public int NoiseSizeHigh { get; }

    /// <inheritdoc/>
    public double MinTime => Schedule.MinTime;

    /// <inheritdoc/>
    public double MaxTime => Schedule.MaxTime;

    /// <summary>The log-SNR moved by <c>2 log(noiseSize / imageSize)</c> at every time.</summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="noiseSize">The width that the schedule suits as it is.</param>
    /// <param name="schedule">The schedule. The default is the cosine between log-SNRs of -15 and 15.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    public static ResolutionShiftedSchedule Shifted(int imageSize, int noiseSize = 64, INoiseSchedule? schedule = null)
        => new(imageSize, Guard.Positive(noiseSize), noiseSize, schedule);

    /// <summary>
    /// The log-SNR moved by one size at the data and by another at the noise, and in proportion to the time between: detail is noised as in
    /// a large image, and the whole as in a small one.
    /// </summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="noiseSizeLow">The width of the shift at <see cref="MaxTime"/>.</param>
    /// <param name="noiseSizeHigh">The width of the shift at <see cref="MinTime"/>. The default is that of the images.</param>
    /// <param name="schedule">The schedule. The default is the cosine between log-SNRs of -15 and 15.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    /// <exception cref="ArgumentException">The log-SNR would rise: the low size is far above the high one.</exception>
    public static ResolutionShiftedSchedule Interpolated(
        int imageSize, int noiseSizeLow = 32, int? noiseSizeHigh = null, INoiseSchedule? schedule = null)
        => new(imageSize, Guard.Positive(noiseSizeHigh ?? imageSize, nameof(noiseSizeHigh)), Guard.Positive(noiseSizeLow), schedule);

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        var fraction = (t - MinTime) / (MaxTime - MinTime);
        return NoiseLevel.FromLogSnr(Schedule.LevelAt(t).LogSnr + _shiftAtData + (fraction * (_shiftAtNoise - _shiftAtData)));
    }

    /// <inheritdoc/>
    public double ModelTimestep(double t) => Schedule.ModelTimestep(t);

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr)
        => _shiftAtData == _shiftAtNoise ? Schedule.InvertLogSnr(logSnr - _shiftAtData) : LogSnrSearch.Find(this, logSnr);
}
