namespace Diffusion.Core.Schedules;

/// <summary>
/// A schedule whose log-SNR is shifted depending on the resolution of the images, since averaging neighbouring pixels of a large image
/// removes noise: <c>logSNR(t) + 2 log(noiseSize / imageSize)</c>, or an interpolation between two such shifts. The schedule is
/// variance preserving and has the times of the schedule that is shifted.
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

    /// <summary>The height and width of the images, in pixels.</summary>
    public int ImageSize { get; }

    /// <summary>The image size that determines the shift at <see cref="MaxTime"/>, in pixels.</summary>
    public int NoiseSizeLow { get; }

    /// <summary>The image size that determines the shift at <see cref="MinTime"/>, in pixels.</summary>
    public int NoiseSizeHigh { get; }

    /// <inheritdoc/>
    public double MinTime => Schedule.MinTime;

    /// <inheritdoc/>
    public double MaxTime => Schedule.MaxTime;

    /// <summary>Creates a schedule whose log-SNR is shifted by <c>2 log(noiseSize / imageSize)</c> at every time.</summary>
    /// <param name="imageSize">The width of the images, in pixels.</param>
    /// <param name="noiseSize">
    /// The width of the images for which <paramref name="schedule"/> is not shifted, in pixels. The default is 64.
    /// </param>
    /// <param name="schedule">The schedule to shift. The default is the cosine schedule between log-SNRs of -15 and 15.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    /// <exception cref="ArgumentException">The log-SNR of <paramref name="schedule"/> does not decrease strictly.</exception>
    public static ResolutionShiftedSchedule Shifted(int imageSize, int noiseSize = 64, INoiseSchedule? schedule = null)
        => new(imageSize, Guard.Positive(noiseSize), noiseSize, schedule);

    /// <summary>
    /// Creates a schedule whose log-SNR is shifted by one image size at the least noise and by another at the most noise, with linear
    /// interpolation in time between them. Fine detail then receives noise as in a large image, and the overall structure as in a
    /// small one.
    /// </summary>
    /// <param name="imageSize">The width of the images, in pixels.</param>
    /// <param name="noiseSizeLow">The width that determines the shift at <see cref="MaxTime"/>, in pixels. The default is 32.</param>
    /// <param name="noiseSizeHigh">
    /// The width that determines the shift at <see cref="MinTime"/>, in pixels. The default is <paramref name="imageSize"/>.
    /// </param>
    /// <param name="schedule">The schedule to shift. The default is the cosine schedule between log-SNRs of -15 and 15.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    /// <exception cref="ArgumentException">
    /// The log-SNR would not decrease strictly: the low size is far greater than the high one.
    /// </exception>
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
