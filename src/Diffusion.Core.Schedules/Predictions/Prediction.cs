namespace Diffusion.Core.Schedules;

/// <summary>
/// The prediction type of a network, defined by alpha and sigma: the training target, and the conversion of its output to x_0 and eps.
/// Every conversion is linear, so that a prediction consists of three pairs of coefficients. All predictions are equivalent: a model
/// that is converted to another prediction has the same sampling trajectories. Derive from this class for a custom prediction.
/// </summary>
public abstract partial class Prediction
{
    /// <summary>The standard name of the prediction, such as <c>epsilon</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// The parameters of the prediction by name, such as <c>sigma_data</c>, which distinguish it from others with the same
    /// <see cref="Name"/>. The default is none.
    /// </summary>
    public virtual IReadOnlyDictionary<string, double> Parameters => new Dictionary<string, double>();

    /// <summary>
    /// Whether the output is the mean of p(x_{t-1} | x_t) itself, which is then used unchanged, even if the predicted x_0 is modified.
    /// The default is <see langword="false"/>.
    /// </summary>
    public virtual bool IsPosteriorMean => false;

    /// <summary>
    /// The factor by which x_t is multiplied before it is passed to the network, c_in of Karras et al. 2022. The default is
    /// <see langword="null"/>: the network receives x_t itself. The pairs of coefficients below always refer to the unscaled x_t.
    /// </summary>
    public virtual Func<NoiseLevel, double>? InputScale => null;

    /// <summary>Returns the training target as coefficients of (x_0, eps).</summary>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="previous">alpha and sigma one step closer to the data. Most predictions do not use it.</param>
    public abstract LinearPair Target(NoiseLevel level, NoiseLevel previous);

    /// <summary>Returns the predicted x_0 as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    public abstract LinearPair ToX0(NoiseLevel level, NoiseLevel previous);

    /// <summary>Returns the predicted eps as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    public abstract LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous);

    /// <summary>The noise of x_t, eps (Ho et al. 2020, eq. 14).</summary>
    public static Prediction Epsilon { get; } = new EpsilonPrediction();

    /// <summary>The clean data, x_0 (Ho et al. 2020, section 3.2).</summary>
    public static Prediction X0 { get; } = new DataPrediction();

    /// <summary>The velocity <c>v = alpha eps - sigma x_0</c> (Salimans and Ho 2022, section 4).</summary>
    public static Prediction Velocity { get; } = new VelocityPrediction();

    /// <summary>
    /// The score <c>grad log q(x_t | x_0) = -eps / sigma</c> (Song et al. 2021, eq. 7). The target is infinite at levels without
    /// noise.
    /// </summary>
    public static Prediction Score { get; } = new ScorePrediction();

    /// <summary>
    /// The velocity of the straight path, <c>u = eps - x_0</c> (Lipman et al. 2023; Liu et al. 2023; Esser et al. 2024, eq. 13). On a
    /// <see cref="RectifiedFlowSchedule"/>, where alpha = 1 - s and sigma = s, it is d x_s / d s. On other schedules, it is not the
    /// derivative in time, but the target is the same, and x_0 and eps follow from <c>x_t = alpha x_0 + sigma eps</c>: <c>x_0 = (x_t -
    /// sigma u) / (alpha + sigma)</c> and <c>eps = (x_t + alpha u) / (alpha + sigma)</c>, which are finite at every level.
    /// </summary>
    public static Prediction FlowVelocity { get; } = new FlowVelocityPrediction();

    /// <summary>The mean of q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eq. 8), for discrete schedules only.</summary>
    public static Prediction PreviousMean { get; } = new PreviousMeanPrediction();

    /// <summary>
    /// Returns the prediction of the raw network F of EDM: <c>x_0 = c_skip x + c_out F(c_in x)</c>, where the input, the target and
    /// the output have unit variance at every level (Karras et al. 2022, table 1 and appendix B.6).
    /// </summary>
    /// <param name="sigmaData">The standard deviation of the data. The default is 0.5.</param>
    /// <remarks>
    /// If alpha is not 1, the formulas apply to x / alpha with sigma / alpha. With sigmaData = 1, the target is that of
    /// <see cref="Velocity"/> with the opposite sign, divided by <c>sqrt(alpha^2 + sigma^2)</c>.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">sigmaData is not finite and positive.</exception>
    public static Prediction Edm(double sigmaData = 0.5) => new EdmPrediction("edm", Guard.Positive(sigmaData), 1.0);

    /// <summary>
    /// Returns <see cref="Edm"/> with the opposite sign of c_out, the "v_prediction" of the EDM schedulers of diffusers.
    /// </summary>
    /// <inheritdoc cref="Edm"/>
    public static Prediction EdmVelocity(double sigmaData = 0.5) => new EdmPrediction("edm-velocity", Guard.Positive(sigmaData), -1.0);

    /// <summary>
    /// Returns the prediction of the raw network of a consistency model: the form of EDM with c_skip and c_out modified so that x_0 is
    /// x at sigma_min, independent of the output of the network (Song et al. 2023, appendix C).
    /// </summary>
    /// <param name="sigmaData">The standard deviation of the data. The default is 0.5.</param>
    /// <param name="sigmaMin">The least noise, sigma / alpha, at which the boundary condition holds. The default is 0.002.</param>
    /// <remarks>
    /// The target is the output for which x_0 is the data. It is finite only above sigmaMin. (A consistency model is trained against
    /// its own outputs, not against this target.)
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">
    /// sigmaData is not finite and positive, or sigmaMin is not finite or is negative.
    /// </exception>
    public static Prediction Consistency(double sigmaData = 0.5, double sigmaMin = 0.002)
        => new ConsistencyPrediction(Guard.Positive(sigmaData), Guard.InRange(sigmaMin, 0.0, double.MaxValue));

    /// <summary>
    /// Returns the coefficients of (x_t, output) that convert the output of a network that predicts <paramref name="from"/> to the
    /// output of a network that predicts <paramref name="to"/>.
    /// </summary>
    /// <param name="from">The prediction to convert from.</param>
    /// <param name="to">The prediction to convert to.</param>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="previous">alpha and sigma one step closer to the data. Most predictions do not use it.</param>
    /// <returns>
    /// The coefficients. They are not finite if the output does not determine the result, such as x_0 from eps without signal.
    /// </returns>
    public static LinearPair Convert(Prediction from, Prediction to, NoiseLevel level, NoiseLevel previous)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        var (ofData, ofNoise) = to.Target(level, previous);
        var data = ofData == 0.0 ? default : from.ToX0(level, previous);
        var noise = ofNoise == 0.0 ? default : from.ToEpsilon(level, previous);
        return new LinearPair((ofData * data.First) + (ofNoise * noise.First), (ofData * data.Second) + (ofNoise * noise.Second));
    }

    /// <summary>
    /// Returns eps as coefficients of (x_t, x_0). At a level without noise, x_t and x_0 do not determine eps, and the coefficients are
    /// zero.
    /// </summary>
    public static LinearPair EpsilonGivenX0(NoiseLevel level)
        => level.Sigma == 0.0 ? new LinearPair(0.0, 0.0) : new LinearPair(1.0 / level.Sigma, -level.Alpha / level.Sigma);
}
