namespace Diffusion.Core.Tests.Support;

/// <summary>The published algorithms in plain arithmetic, one parameter at a time.</summary>
internal static class OptimizerReference
{
    /// <summary>A step of a parameter: weights (changed), gradient, learning rate, and what the weight decay is multiplied by.</summary>
    public delegate void Rule(double[] weights, double[] gradient, double rate, double decayScale);

    /// <summary>A fresh rule for a parameter of a shape.</summary>
    public static Rule For(IOptimizer optimizer, IReadOnlyList<long> shape) => optimizer switch
    {
        AdamW a => Adam(a.Beta1, a.Beta2, a.Epsilon, a.WeightDecay, isDecoupled: true),
        Adam a => Adam(a.Beta1, a.Beta2, a.Epsilon, a.WeightDecay, isDecoupled: false),
        Sgd s => Sgd(s),
        Lion l => Lion(l),
        Adafactor a => Adafactor(a, shape),
        _ => throw new ArgumentException(optimizer.Name, nameof(optimizer)),
    };

    /// <summary>Kingma and Ba, algorithm 1; Loshchilov and Hutter, algorithm 2.</summary>
    private static Rule Adam(double beta1, double beta2, double epsilon, double decay, bool isDecoupled)
    {
        var (step, first, second) = (0, new Dictionary<int, double>(), new Dictionary<int, double>());
        return (weights, gradient, rate, decayScale) =>
        {
            step++;
            for (var i = 0; i < weights.Length; i++)
            {
                var g = gradient[i] + (isDecoupled ? 0.0 : decay * decayScale * weights[i]);
                first[i] = (beta1 * first.GetValueOrDefault(i)) + ((1 - beta1) * g);
                second[i] = (beta2 * second.GetValueOrDefault(i)) + ((1 - beta2) * g * g);
                var m = first[i] / (1 - Math.Pow(beta1, step));
                var v = second[i] / (1 - Math.Pow(beta2, step));
                if (isDecoupled)
                    weights[i] -= rate * decay * decayScale * weights[i];
                weights[i] -= rate * m / (Math.Sqrt(v) + epsilon);
            }
        };
    }

    /// <summary>The loop in the documentation of PyTorch's SGD.</summary>
    private static Rule Sgd(Sgd settings)
    {
        double[]? velocity = null;
        return (weights, gradient, rate, decayScale) =>
        {
            double[] g = [.. gradient.Select((value, i) => value + (settings.WeightDecay * decayScale * weights[i]))];
            velocity = velocity is null
                ? [.. g]
                : [.. velocity.Select((b, i) => (settings.Momentum * b) + ((1 - settings.Dampening) * g[i]))];
            for (var i = 0; i < weights.Length; i++)
                weights[i] -= rate * (settings.Nesterov ? g[i] + (settings.Momentum * velocity[i]) : velocity[i]);
        };
    }

    /// <summary>Chen et al., algorithm 2.</summary>
    private static Rule Lion(Lion settings)
    {
        double[]? momentum = null;
        return (weights, gradient, rate, decayScale) =>
        {
            momentum ??= new double[weights.Length];
            for (var i = 0; i < weights.Length; i++)
            {
                var blend = (settings.Beta1 * momentum[i]) + ((1 - settings.Beta1) * gradient[i]);
                momentum[i] = (settings.Beta2 * momentum[i]) + ((1 - settings.Beta2) * gradient[i]);
                weights[i] -= rate * (Math.Sign(blend) + (settings.WeightDecay * decayScale * weights[i]));
            }
        };
    }

    /// <summary>Shazeer and Stern, algorithms 4 and 5, with sums over rows and columns as printed.</summary>
    private static Rule Adafactor(Adafactor settings, IReadOnlyList<long> shape)
    {
        var rows = shape.Count < 2 ? 1 : (int)shape[0];
        var columns = (int)(shape.Aggregate(1L, (a, b) => a * b) / rows);
        var (r, c, whole, average) = (new double[rows], new double[columns], new double[columns], new double[rows * columns]);
        var step = 0;
        return (weights, gradient, rate, decayScale) =>
        {
            var beta = 1 - Math.Pow(++step, -settings.DecayPower);
            double Square(int i) => (gradient[i] * gradient[i]) + settings.Epsilon1;
            for (var i = 0; i < rows; i++)
                r[i] = (beta * r[i]) + ((1 - beta) * Enumerable.Range(0, columns).Sum(j => Square((i * columns) + j)));
            for (var j = 0; j < columns; j++)
                c[j] = (beta * c[j]) + ((1 - beta) * Enumerable.Range(0, rows).Sum(i => Square((i * columns) + j)));
            for (var j = 0; j < columns; j++)
                whole[j] = (beta * whole[j]) + ((1 - beta) * Square(j));
            var update = gradient.Select((g, i) =>
                g / Math.Sqrt(shape.Count < 2 ? whole[i] : r[i / columns] * c[i % columns] / r.Sum())).ToArray();
            var clip = Math.Max(1.0, Rms(update) / settings.ClipThreshold);
            var alpha = rate * (settings.RelativeStep ? Math.Max(settings.Epsilon2, Rms(weights)) : 1.0);
            for (var i = 0; i < weights.Length; i++)
            {
                average[i] = (settings.Beta1 * average[i]) + ((1 - settings.Beta1) * update[i] / clip);
                weights[i] -= alpha * (average[i] + (settings.WeightDecay * decayScale * weights[i]));
            }
        };

        static double Rms(double[] values) => Math.Sqrt(values.Average(value => value * value));
    }
}
