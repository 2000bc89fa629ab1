namespace Diffusion.Core.Schedules;

/// <summary>
/// What a network predicts, as pure algebra over alpha and sigma: the target it is trained on, and how its output turns back into
/// x_0 and eps. Every conversion is linear, so a prediction is three pairs of numbers. All predictions agree: a model in
/// any of them has one trajectory. Derive from this class for a custom prediction.
/// </summary>
public abstract partial class Prediction
{
    /// <summary>The field's name of the prediction, such as <c>epsilon</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// The parameters of the prediction by name, such as <c>sigma_data</c>, which tell it from others of its <see cref="Name"/>. The default
    /// is none.
    /// </summary>
    public virtual IReadOnlyDictionary<string, double> Parameters => new Dictionary<string, double>();

    /// <summary>
    /// True where the output is itself the mean of p(x_{t-1} | x_t), so that no other mean is formed from it, even if x_0 is changed.
    /// </summary>
    public virtual bool IsPosteriorMean => false;

    /// <summary>
    /// The factor by which x_t is scaled before the network sees it, c_in of Karras et al. 2022; null where the network sees x_t itself.
    /// The three pairs below are always in terms of x_t as it is, not scaled.
    /// </summary>
    public virtual Func<NoiseLevel, double>? InputScale => null;

    /// <summary>The training target as coefficients of (x_0, eps).</summary>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data; most predictions do not need it.</param>
    public abstract LinearPair Target(NoiseLevel level, NoiseLevel previous);

    /// <summary>The predicted x_0 as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    public abstract LinearPair ToX0(NoiseLevel level, NoiseLevel previous);

    /// <summary>The predicted eps as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    public abstract LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous);

    /// <summary>The total noise of x_t (Ho et al. 2020, eq. 14).</summary>
    public static Prediction Epsilon { get; } = new EpsilonPrediction();

    /// <summary>The clean data, x_0 (Ho et al. 2020, section 3.2).</summary>
    public static Prediction X0 { get; } = new DataPrediction();

    /// <summary>The velocity <c>v = alpha eps - sigma x_0</c> (Salimans and Ho 2022, section 4).</summary>
    public static Prediction Velocity { get; } = new VelocityPrediction();

    /// <summary>
    /// The score <c>grad log q(x_t | x_0) = -eps / sigma</c> (Song et al. 2021, eq. 7). Its target is infinite where there is no noise.
    /// </summary>
    public static Prediction Score { get; } = new ScorePrediction();

    /// <summary>
    /// The velocity of the straight line, <c>u = eps - x_0</c> (Lipman et al. 2023; Liu et al. 2023; Esser et al. 2024, eq. 13). On a
    /// <see cref="RectifiedFlowSchedule"/>, alpha = 1 - s and sigma = s, it is d x_s / d s. Elsewhere it is no derivative in time, but the
    /// target is the same and x_0 and eps follow from <c>x_t = alpha x_0 + sigma eps</c>: <c>x_0 = (x_t - sigma u) / (alpha + sigma)</c>,
    /// <c>eps = (x_t + alpha u) / (alpha + sigma)</c>, finite at every level.
    /// </summary>
    public static Prediction FlowVelocity { get; } = new FlowVelocityPrediction();

    /// <summary>The mean of q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eq. 8). Only for schedules with steps.</summary>
    public static Prediction PreviousMean { get; } = new PreviousMeanPrediction();

    /// <summary>
    /// The raw network F of EDM: <c>x_0 = c_skip x + c_out F(c_in x)</c> with input, target and output of unit variance at every level
    /// (Karras et al. 2022, table 1 and appendix B.6).
    /// </summary>
    /// <param name="sigmaData">The standard deviation of the data.</param>
    /// <remarks>
    /// For a process with alpha other than 1 the formulas hold in x / alpha with sigma / alpha. At sigmaData = 1 this is
    /// <see cref="Velocity"/> with the other sign, divided by <c>sqrt(alpha^2 + sigma^2)</c>.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">sigmaData is not finite and positive.</exception>
    public static Prediction Edm(double sigmaData = 0.5) => new EdmPrediction("edm", Guard.Positive(sigmaData), 1.0);

    /// <summary>
    /// <see cref="Edm"/> with the other sign of c_out, as diffusers' EDM schedulers have it under "v_prediction".
    /// </summary>
    /// <inheritdoc cref="Edm"/>
    public static Prediction EdmVelocity(double sigmaData = 0.5) => new EdmPrediction("edm-velocity", Guard.Positive(sigmaData), -1.0);

    /// <summary>
    /// The raw network of a consistency model: EDM's form with c_skip and c_out moved so that x_0 is x itself at sigma_min, independently
    /// of the output of the network (Song et al. 2023, appendix C).
    /// </summary>
    /// <param name="sigmaData">The standard deviation of the data.</param>
    /// <param name="sigmaMin">The least noise, where the boundary condition holds; in terms of sigma / alpha.</param>
    /// <remarks>
    /// The target is the output for which x_0 is the data; it is finite only above sigmaMin. (A consistency model is trained against
    /// itself, not
    /// against this target.)
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">sigmaData is not finite and positive, or sigmaMin finite and not negative.</exception>
    public static Prediction Consistency(double sigmaData = 0.5, double sigmaMin = 0.002)
        => new ConsistencyPrediction(Guard.Positive(sigmaData), Guard.InRange(sigmaMin, 0.0, double.MaxValue));

    /// <summary>
    /// The output of a network that predicts <paramref name="to"/> where one that predicts <paramref name="from"/> returned
    /// <c>output</c>, as coefficients of (x_t, output).
    /// </summary>
    /// <param name="from">What the network predicts.</param>
    /// <param name="to">What is wanted.</param>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data; most predictions do not need it.</param>
    /// <returns>Not finite where the one does not determine the other, such as x_0 from eps without signal.</returns>
    public static LinearPair Convert(Prediction from, Prediction to, NoiseLevel level, NoiseLevel previous)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        var (ofData, ofNoise) = to.Target(level, previous);
        var data = ofData == 0.0 ? default : from.ToX0(level, previous);
        var noise = ofNoise == 0.0 ? default : from.ToEpsilon(level, previous);
        return new LinearPair((ofData * data.First) + (ofNoise * noise.First), (ofData * data.Second) + (ofNoise * noise.Second));
    }

    /// <summary>eps as coefficients of (x_t, x_0); without noise there is nothing to divide by and eps is taken as zero.</summary>
    public static LinearPair EpsilonGivenX0(NoiseLevel level)
        => level.Sigma == 0.0 ? new LinearPair(0.0, 0.0) : new LinearPair(1.0 / level.Sigma, -level.Alpha / level.Sigma);
}
