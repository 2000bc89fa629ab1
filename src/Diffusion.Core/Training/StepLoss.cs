using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The loss of one part of a batch, and further values to report. Owns its tensors.</summary>
public sealed class StepLoss : IDisposable
{
    private readonly List<NamedSums> _reports = [];
    private readonly List<Tensor> _owned = [];

    /// <summary>Initializes a new instance of the <see cref="StepLoss"/> class.</summary>
    /// <param name="loss">[] with gradients: the mean over the samples of the part. Ownership passes to this object.</param>
    /// <exception cref="ArgumentException"><paramref name="loss"/> is not a scalar.</exception>
    public StepLoss(Tensor loss)
    {
        Guard.Shape(loss, []);
        Loss = Keep(loss);
    }

    /// <summary>[] the mean loss over the samples of the part.</summary>
    public Tensor Loss { get; }

    /// <summary>An action to call after the weights were updated or the step was skipped. The default is <see langword="null"/>.</summary>
    public Action? AfterStep { get; set; }

    internal IReadOnlyList<NamedSums> Reports => _reports;

    /// <summary>
    /// Reports named values. Their means over the steps since the last report are in <see cref="TrainingProgress.Metrics"/>. The
    /// values remain on the device until the report.
    /// </summary>
    /// <param name="names">The n names.</param>
    /// <param name="sums">
    /// [n] float64 the sum over samples of the values of each name, without gradients. Ownership passes to this object.
    /// </param>
    /// <param name="counts">[n] float64 the number of samples with a value of each name. Ownership passes to this object.</param>
    /// <returns>This object.</returns>
    /// <exception cref="ArgumentException">The sums or counts do not have shape [n] or type float64.</exception>
    public StepLoss Report(IReadOnlyList<string> names, Tensor sums, Tensor counts)
    {
        ArgumentNullException.ThrowIfNull(names);
        foreach (var (tensor, name) in ((Tensor, string)[])[(sums, nameof(sums)), (counts, nameof(counts))])
        {
            Guard.Shape(tensor, [names.Count], name);
            if (tensor.dtype != ScalarType.Float64)
                throw new ArgumentException($"{name} must be Float64, got {tensor.dtype}.", name);
        }

        _reports.Add(new NamedSums(names, Keep(sums), Keep(counts)));
        return this;
    }

    /// <summary>Reports the means of all terms of a loss except the one that is minimised.</summary>
    /// <returns>This object.</returns>
    internal StepLoss ReportTerms(LossTerms terms)
    {
        using var gradientsOff = no_grad();
        string[] names = [.. terms.Names.Where(name => name != LossTerms.LossName)];
        if (names.Length == 0)
            return this;
        using var scope = NewDisposeScope();
        var sums = stack(names.Select(name => terms[name].to(ScalarType.Float64).sum()));
        return Report(names, sums, sums.FullLike(terms.Loss.shape[0]));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _owned)
            tensor.Dispose();
    }

    /// <summary>Takes ownership of a tensor and detaches it from its dispose scope, so that <see cref="AfterStep"/> can use it.</summary>
    internal Tensor Keep(Tensor tensor)
    {
        _owned.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }
}
