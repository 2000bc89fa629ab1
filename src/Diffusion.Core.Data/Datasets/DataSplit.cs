namespace Diffusion.Core.Data;

/// <summary>The published parts of a data set.</summary>
public enum DataSplit
{
    /// <summary>The training set.</summary>
    Train,

    /// <summary>The test set.</summary>
    Test,
}
