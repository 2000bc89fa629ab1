using Plots;

if (args.Length > 1)
{
    Console.Error.WriteLine("usage: plots [FOLDER]; the default folder is docs/images");
    return 2;
}

var folder = args is [var given] ? given : Path.Combine("docs", "images");
SchedulePlots.Save(folder);
GridPlots.Save(folder);
TrainingPlots.Save(folder);
OrderPlots.Save(folder);
OrderPlots.Print(Console.Out);
return 0;
