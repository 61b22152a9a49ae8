// Code of the host that native code calls: progress, cancellation, logging and feature extractors.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Npad;

static partial class Tests
{
    static void ProgressStopsAFit()
    {
        var stages = new List<string>();
        using (var options = Quick())
        {
            options.SetProgress((stage, done, total) => { stages.Add(stage); return stages.Count < 4; });
            Throws(NpadStatus.Cancelled, "cancelled", () => Model.Fit(Good(), options));
            Check(stages.SequenceEqual(Enumerable.Repeat("learning", 4)), "stages");
            options.SetProgress((stage, done, total) => throw new DivideByZeroException());
            Throws<DivideByZeroException>("progress", () => Model.Fit(Good(), options));
            var totals = new List<long>();
            options.SetProgress((stage, done, total) => { if (stage == "learning") totals.Add(total); return true; });
            using (var trainer = new Trainer(options))
            {
                trainer.Expect(3);
                for (uint seed = 0; seed < 3; seed++) trainer.Add(View(Part(seed)));
                Check(totals.Count > 0 && totals.All(total => total == 3), "totals");
                Throws<ArgumentOutOfRangeException>("negative", () => trainer.Expect(-1));
                options.SetProgress(null); // the trainer keeps its own
                GC.Collect();
                trainer.Finish().Dispose();
                Throws(NpadStatus.WrongState, "finished", () => trainer.Finish());
            }
            options.SetProgress(null);
            Model.Fit(Good(), options).Dispose();
        }
    }

    /// <summary>A trainer refuses the calls of its own callback.</summary>
    static void TrainerInUse()
    {
        Trainer busy = null;
        var counts = new List<long>();
        using (var options = Quick())
        {
            options.SetProgress((stage, done, total) =>
            {
                Throws(NpadStatus.WrongState, "in use", () => busy.Add(View(Part(1))));
                Throws(NpadStatus.WrongState, "in use", () => busy.Finish());
                counts.Add(busy.Count);
                return true;
            });
            using (busy = new Trainer(options))
            {
                for (uint seed = 0; seed < 5; seed++) busy.Add(View(Part(seed)));
                busy.Finish().Dispose();
                Check(counts.Count > 5 && counts.Last() == 5, "counts");
            }
        }
    }

    static void Cancellation(Model model)
    {
        using (var source = new CancellationTokenSource())
        {
            using (var result = model.ScoreAsync(View(Part(200, 40)), source.Token).Result) Check(result.IsAnomalous, "task");
            var many = Good(2000).ToList();
            source.CancelAfter(50);
            Throws<OperationCanceledException>("cancelled", () => model.Score(many, source.Token));
            Check(source.IsCancellationRequested, "the token ended the call");
            var outputs = many.Select(_ => new Output(null)).ToList();
            Throws<OperationCanceledException>("cancelled before", () => model.ScoreInto(many, outputs, source.Token));
            var task = model.ScoreAsync(View(Part(1)), source.Token);
            Throws<AggregateException>("cancelled task", () => task.Wait());
            Check(task.IsCanceled, "the task is cancelled");
        }
        using (var source = new CancellationTokenSource())
            Check(model.Score(new[] { View(Part(1)) }, source.Token).Count == 1, "not cancelled");
    }

    static void Logging()
    {
        var messages = new List<string>();
        var statuses = new List<NpadStatus>();
        var options = Quick();
        Library.SetLogHandler((level, message) =>
        {
            lock (messages) messages.Add(level + message);
            try { Library.SetLogHandler(null); }
            catch (NpadException error) { statuses.Add(error.Status); }
            throw new InvalidOperationException("ignored");
        }, LogLevel.Debug);
        Model.Fit(Good(), options).Dispose();
        Library.SetLogHandler(null);
        Check(messages.Count > 0 && messages.Any(m => m.StartsWith("Info")), "messages");
        Check(statuses.Count > 0 && statuses.All(status => status == NpadStatus.WrongState), "from the handler");
        var count = messages.Count;
        Model.Fit(Good(), options).Dispose();
        Check(messages.Count == count, "unregistered");
        Throws(NpadStatus.InvalidArgument, "level", () => Library.SetLogHandler((_, __) => { }, (LogLevel)9));
        options.Dispose();
    }

    /// <summary>Brightness and its change over squares of 4 pixels.</summary>
    sealed class Squares : IFeatureExtractor
    {
        public Exception Failure;
        public string Name { get; set; } = "squares";
        public IReadOnlyList<int> Strides => new[] { 4, 8 };
        public IReadOnlyList<int> Channels => new[] { 2, 2 };
        public IReadOnlyList<float> Mean => new[] { 0f, 0f, 0f };
        public IReadOnlyList<float> StandardDeviation => new[] { 1f, 1f, 1f };

        public void Extract(float[] input, int height, int width, float[][] outputs)
        {
            if (Failure != null) throw Failure;
            for (var tap = 0; tap < 2; tap++)
            {
                int stride = Strides[tap], cols = (width + stride - 1) / stride;
                var plane = outputs[tap].Length / 2;
                for (var y = 0; y < height; y++)
                    for (var x = 0; x < width; x++)
                    {
                        var cell = y / stride * cols + x / stride;
                        var value = input[y * width + x];
                        outputs[tap][cell] += value / (stride * stride);
                        outputs[tap][plane + cell] += value * value / (stride * stride);
                    }
            }
        }
    }

    static void Extractors()
    {
        var squares = new Squares();
        using (var options = new Options { ["size"] = "64" }.SetExtractor(squares))
        using (var model = Model.Fit(Good(), options))
        {
            GC.Collect();
            using (Result fine = model.Score(View(Part(200))), bad = model.Score(View(Part(200, 40))))
                Check(bad.Score > fine.Score && bad.IsAnomalous && model.Backbone.Contains("squares"), "extractor");
            squares.Failure = new DivideByZeroException("as planned");
            Throws<DivideByZeroException>("extractor", () => model.Score(View(Part(1))));
            Throws<DivideByZeroException>("extractor in a fit", () => Model.Fit(Good(), options));
            squares.Failure = null;
            model.Score(View(Part(1))).Dispose();
            var bytes = model.ToBytes();
            Throws(NpadStatus.UnsupportedModel, "squares", () => Model.FromBytes(bytes));
            Model.FromBytes(bytes, options).Dispose();
        }
        using (var options = new Options())
        {
            Throws(NpadStatus.Plugin, "name", () => options.SetExtractor(new Squares { Name = "No Name" }));
            Throws<ArgumentNullException>("null extractor", () => options.SetExtractor(null));
        }
    }
}
