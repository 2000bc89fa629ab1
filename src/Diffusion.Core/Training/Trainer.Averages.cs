using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>Writes each average with a power-function profile to a folder, as <see cref="EmaSnapshots"/> describes.</summary>
    internal void SaveProfiles(string folder)
    {
        using var claim = Average.Claim("save its averages");
        using var scope = NewDisposeScope();
        var state = _module.state_dict();
        foreach (var average in Engine.Averages)
        {
            if (average.Decay is not PowerFunctionDecay decay)
                continue;
            var weights = TrainerTensors.Weights(_module, Engine.Parameters, average.Values);
            var kept = weights.Keys.Where(name => ReferenceEquals(weights[name], state[name]));
            var snapshot = EmaSnapshot.Of(folder, average.Name, decay, Step);
            Safetensors.Save(snapshot.Path, weights, snapshot.Metadata(kept));
        }
    }

    /// <summary>The widths of the power-function averages of the run.</summary>
    internal IEnumerable<PowerFunctionDecay> Profiles() => Engine.Averages.Select(average => average.Decay).OfType<PowerFunctionDecay>();
}
