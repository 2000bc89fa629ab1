using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using TorchSharp;

namespace Diffusion.Core.FaultHost;

/// <summary>A small run that saves at every second step: the one that tests interrupt.</summary>
public sealed class HostRun : IDisposable
{
    /// <summary>Steps between checkpoints.</summary>
    public const int Every = 2;

    private readonly MlpDenoiser _network;

    public HostRun(string folder, long steps, CheckpointRetention? retention = null, ILogger? logger = null)
    {
        torch.manual_seed(3);
        _network = new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1 });
        Trainer = new DdpmTrainer(
            _network,
            DiscreteSchedule.Linear(),
            new SimpleLoss(),
            new TrainerOptions
            {
                Steps = steps,
                BatchSize = 8,
                Seed = 5,
                LogEvery = 1,
                CheckpointEvery = Every,
                CheckpointFolder = folder,
                CheckpointRetention = retention ?? CheckpointRetention.Last(2),
            },
            logger);
    }

    public DdpmTrainer Trainer { get; }

    public static IDataset Data { get; } = PointDataset.EightGaussians(seed: 1, count: 50);

    public void Dispose()
    {
        Trainer.Dispose();
        _network.Dispose();
    }
}
