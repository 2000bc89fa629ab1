namespace Diffusion.Core;

/// <summary>On which threads a data set may be loaded.</summary>
public enum LoadThreading
{
    /// <summary>Only on the thread that trains, between its steps; batches are not loaded ahead.</summary>
    Caller,

    /// <summary>On any thread, but never on two at once.</summary>
    OneAtATime,

    /// <summary>On any number of threads at once.</summary>
    Concurrent,
}
