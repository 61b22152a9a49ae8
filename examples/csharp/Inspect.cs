// Learns from a folder of good images, saves and reloads the model, and inspects other images.
//
//     Inspect.exe GOOD_FOLDER IMAGE... [key=value]...
//
// Images are binary PGM files (P5, 8 bits), a format that needs no library. key=value sets an option, for example size=128.

using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Npad;

static class Inspect
{
    static int Main(string[] arguments)
    {
        if (arguments.Length < 2)
        {
            Console.Error.WriteLine("usage: Inspect.exe GOOD_FOLDER IMAGE... [key=value]...");
            return 2;
        }
        try
        {
            using (var options = new Options())
            {
                foreach (var pair in arguments.Skip(1).Select(a => a.Split(new[] { '=' }, 2)).Where(p => p.Length == 2))
                    options.Set(pair[0], pair[1]);
                var good = Directory.GetFiles(arguments[0]).OrderBy(path => path, StringComparer.Ordinal);
                using (var fitted = Model.Fit(good.Select(Read), options)) fitted.Save("inspect.npad");
                using (var model = Model.Load("inspect.npad", options))
                    foreach (var path in arguments.Skip(1).Where(a => !a.Contains("="))) Report(model, path);
            }
            return 0;
        }
        catch (Exception error) when (error is NpadException || error is IOException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    static void Report(Model model, string path)
    {
        using (var result = model.Score(Read(path)))
        {
            Console.WriteLine("{0}: {1}, score {2}", path, result.IsAnomalous ? "DEFECTIVE" : "good",
                result.Score.ToString("G9", CultureInfo.InvariantCulture));
            foreach (var region in result.GetRegions())
                Console.WriteLine("  region at ({0}, {1}), {2} x {3}", region.X, region.Y, region.Width, region.Height);
        }
    }

    static Image Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        // The header in a text of one character a byte.
        var text = new string(bytes.Take(1000).Select(b => (char)b).ToArray());
        var header = Regex.Match(text, @"^P5\s(?:#[^\n]*\n|\s)*(\d+)\s+(\d+)\s+255\s");
        if (!header.Success) throw new IOException(path + " is not a binary PGM file of 8 bits");
        int width = int.Parse(header.Groups[1].Value), height = int.Parse(header.Groups[2].Value);
        return new Image(bytes.Skip(header.Length).ToArray(), width, height, PixelFormat.Gray8);
    }
}
