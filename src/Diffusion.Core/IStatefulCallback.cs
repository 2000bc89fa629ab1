using System.Text.Json;

namespace Diffusion.Core;

/// <summary>A callback whose memory is part of a checkpoint, so that a resumed run goes on as if it had not stopped.</summary>
public interface IStatefulCallback : ITrainerCallback
{
    /// <summary>Tells its state from that of others in a checkpoint; one callback of a run for each key.</summary>
    string Key { get; }

    /// <summary>What is to be remembered.</summary>
    JsonElement Save();

    /// <summary>Takes up what <see cref="Save"/> gave.</summary>
    /// <exception cref="JsonException">It is nothing that this callback would save.</exception>
    void Load(JsonElement state);
}
