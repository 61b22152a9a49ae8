using System;
using System.IO;
using System.Linq;
using System.Text;
using Npad;
static class Score
{
    // A binary PGM file without comments; any other library's pixels will do.
    static Image Read(string path)
    {
        var file = File.ReadAllBytes(path);
        var header = Encoding.ASCII.GetString(file, 0, 32).Split(" \n".ToCharArray(), 4);
        int width = int.Parse(header[1]), height = int.Parse(header[2]);
        return new Image(file.Skip(file.Length - width * height).ToArray(), width, height, PixelFormat.Gray8);
    }

    static void Main(string[] arguments)  // Score.exe MODEL.npad IMAGE.pgm...
    {
        using (var model = Model.Load(arguments[0]))
            foreach (var path in arguments.Skip(1))
                using (var result = model.Score(Read(path)))
                    Console.WriteLine("{0}: {1}, {2:G9}", path, result.IsAnomalous ? "DEFECTIVE" : "good", result.Score);
    }
}
