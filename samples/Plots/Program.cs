using Plots;

if (args.Length > 1 || args is [['-', ..]])
{
    Console.Error.WriteLine("Usage: plots [FOLDER]. The default folder is docs/images.");
    return 2;
}

var folder = args is [var given] ? given : Path.Combine("docs", "images");
SchedulePlots.Save(folder);
GridPlots.Save(folder);
TrainingPlots.Save(folder);
OrderPlots.Save(folder);
OrderPlots.Print(Console.Out);
return 0;
