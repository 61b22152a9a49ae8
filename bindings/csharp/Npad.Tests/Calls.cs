// Calls that overlap, arguments that .NET checks itself, and the places that messages name.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Npad;

static partial class Tests
{
    /// <summary>Runs code while no further task of the thread pool can start.</summary>
    static void WithoutThreadPool(Action action)
    {
        ThreadPool.GetMinThreads(out var workers, out _);
        using (var release = new ManualResetEventSlim())
        {
            // Beyond the minimum, the pool adds about two threads a second.
            var blockers = Enumerable.Range(0, 2 * workers + 100).Select(_ => Task.Run(() => release.Wait())).ToArray();
            try
            {
                action();
            }
            finally
            {
                release.Set();
                Task.WaitAll(blockers);
            }
        }
    }

    static void Tasks(Model model)
    {
        var bad = View(Part(200, 40));
        var bytes = model.ToBytes();
        var copy = Model.FromBytes(bytes);
        Task<Result> task = null;
        WithoutThreadPool(() =>
        {
            task = copy.ScoreAsync(bad);
            copy.Dispose();
            Check(!task.IsCompleted, "the task waits");
            Throws<ObjectDisposedException>("disposed before", () => { copy.ScoreAsync(bad); });
        });
        using (var result = task.Result) Check(result.IsAnomalous, "task of a model that has been disposed of");
        Throws<ArgumentNullException>("null image of a task", () => { model.ScoreAsync(null); });

        // A task that never runs does not keep its model.
        var kept = new List<WeakReference>();
        var thread = new Thread(() =>
        {
            for (var i = 0; i < 20; i++) kept.Add(CancelledTask());
        });
        thread.Start();
        thread.Join();
        GC.Collect();
        Check(kept.Count(extractor => extractor.IsAlive) < 10, "cancelled tasks keep models");
    }

    /// <summary>A weak reference to the extractor of a model whose only task was cancelled before it had its turn.</summary>
    static WeakReference CancelledTask()
    {
        var squares = new Squares();
        using (var options = new Options { ["size"] = "64" }.SetExtractor(squares))
        using (var source = new CancellationTokenSource())
        using (var model = Model.Fit(Good(3), options))
        {
            source.Cancel();
            var task = model.ScoreAsync(View(Part(1)), source.Token);
            Throws<AggregateException>("cancelled task", () => task.Wait());
            Check(task.IsCanceled, "the task is cancelled");
        }
        return new WeakReference(squares);
    }

    /// <summary>A call from inside a handler, which fails, does not undo the call of another thread.</summary>
    static void LogHandlersOfThreads()
    {
        for (var round = 0; round < 5; round++)
        {
            int former = 0, latter = 0, once = 0;
            Thread other = null;
            Library.SetLogHandler((level, message) =>
            {
                Interlocked.Increment(ref former);
                if (Interlocked.Exchange(ref once, 1) != 0) return;
                other = new Thread(() => Library.SetLogHandler((_, __) => Interlocked.Increment(ref latter), LogLevel.Debug));
                other.Start(); // it waits until this handler has returned
                for (var i = 0; i < 20000; i++)
                    try { Library.SetLogHandler((_, __) => { }, LogLevel.Debug); }
                    catch (NpadException) { }
            }, LogLevel.Debug);
            using (var options = Quick()) Model.Fit(Good(3), options).Dispose();
            other.Join();
            former = latter = 0;
            using (var options = Quick()) Model.Fit(Good(3), options).Dispose();
            Check(former == 0 && latter > 0, "the other thread's handler");
        }
        // Neither does a call that fails for another reason.
        var strays = 0;
        var done = false;
        var failing = new Thread(() =>
        {
            while (!Volatile.Read(ref done))
                try { Library.SetLogHandler((_, __) => Interlocked.Increment(ref strays), (LogLevel)9); }
                catch (NpadException) { }
        });
        Library.SetLogHandler((_, __) => { }, LogLevel.Debug);
        failing.Start();
        for (var i = 0; i < 20; i++)
            using (var options = Quick()) Model.Fit(Good(3), options).Dispose();
        Volatile.Write(ref done, true);
        failing.Join();
        Check(strays == 0, "messages for a handler that was never set");
        LogLevelsOfThreads();
        Library.SetLogHandler(null);
    }

    /// <summary>Of two calls at once, the later one sets both its handler and its level.</summary>
    static void LogLevelsOfThreads()
    {
        for (var round = 0; round < 40; round++)
        {
            int warnings = 0, others = 0, all = 0, ready = 0;
            Action<LogLevel, string> few = (level, _) =>
            {
                if (level <= LogLevel.Warning) Interlocked.Increment(ref warnings);
                else Interlocked.Increment(ref others);
            };
            Action<LogLevel, string> many = (level, _) => Interlocked.Increment(ref all);
            var threads = new[] { (few, LogLevel.Warning), (many, LogLevel.Debug) }.Select(pair => new Thread(() =>
            {
                Interlocked.Increment(ref ready);
                while (Volatile.Read(ref ready) < 2) { }
                Library.SetLogHandler(pair.Item1, pair.Item2);
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            using (var options = Quick()) Model.Fit(Good(3), options).Dispose();
            // A fit of two images logs one warning, that they are few, and more at lower levels.
            Check(others == 0 && (warnings > 0 ? all == 0 : all > 1), "levels: " + warnings + " " + others + " " + all);
        }
    }

    static string Refused<T>(string what, Action action) where T : ArgumentException
    {
        try
        {
            action();
        }
        catch (T error)
        {
            return error.ParamName;
        }
        Check(false, "no exception: " + what);
        return "";
    }

    static void Arguments(Model model)
    {
        var image = View(Part(1));
        Check(Refused<ArgumentNullException>("image", () => model.Score((Image)null)) == "image", "name of the image");
        Check(Refused<ArgumentNullException>("image", () => model.ScoreInto(null, new Output(null))) == "image", "into");
        Check(Refused<ArgumentNullException>("output", () => model.ScoreInto(image, (Output)null)) == "output", "output");
        var output = new Output(null);
        Throws<ArgumentException>("an output twice", () => model.ScoreInto(new[] { image, image }, new[] { output, output }));
        Throws<ArgumentException>("half a pair", () => model.Save("/none/x\ud800y.npad"));
        Throws<ArgumentException>("half a pair", () => Model.Load("/none/x\udc00y.npad"));
        Throws(NpadStatus.NotFound, "/none/\U0001f600", () => Model.Load("/none/\U0001f600"));

        // All images of these are read in one call, so a sequence that reuses a buffer must not pass.
        foreach (var method in typeof(Model).GetMethods())
            if (method.Name == "Recalibrate" || method.Name == "Score" || method.Name == "ScoreInto")
                Check(method.GetParameters()[0].ParameterType != typeof(IEnumerable<Image>), method.Name);
        using (var options = Quick())
        using (var reused = Model.Fit(OneBuffer(12), options))
            Check(reused.ToBytes().SequenceEqual(model.ToBytes()), "a fit from one buffer");
    }

    static IEnumerable<Image> OneBuffer(int count)
    {
        var buffer = new byte[Side * Side];
        for (var seed = 0; seed < count; seed++)
        {
            Part((uint)seed).CopyTo(buffer, 0);
            yield return View(buffer);
        }
    }

    /// <summary>Messages name an image's index where there are several images, and only there.</summary>
    static void PlacesInMessages(Model model)
    {
        var good = View(Part(1));
        var flat = new Image(new byte[0], 4, 0, PixelFormat.Gray8);
        Throws(NpadStatus.InvalidImage, "image 1: ", () => model.Score(new[] { good, flat }));
        using (var source = new CancellationTokenSource())
            foreach (var single in new Action[]
            {
                () => model.Score(flat), () => model.ScoreInto(flat, new Output(null)),
                () => model.ScoreInto(flat, new float[0]), () => model.ScoreAsync(flat).GetAwaiter().GetResult(),
                () => model.ScoreAsync(flat, source.Token).GetAwaiter().GetResult(),
            })
                try
                {
                    single();
                    Check(false, "no exception: flat");
                }
                catch (NpadException error)
                {
                    Check(!error.Message.StartsWith("image "), error.Message);
                }
        using (var options = Quick())
        {
            Throws(NpadStatus.InvalidImage, "image 2: ", () => Model.Fit(new[] { good, good, flat }, options));
            Throws<ArgumentNullException>("null in a fit", () => Model.Fit(new[] { good, null }, options));
        }
    }

    /// <summary>An extractor whose properties are null.</summary>
    sealed class Partial : IFeatureExtractor
    {
        public string Without;
        public string Name => Without == "Name" ? null : "partial";
        public IReadOnlyList<int> Strides => Without == "Strides" ? null : new[] { 4 };
        public IReadOnlyList<int> Channels => Without == "Channels" ? null : new[] { 2 };
        public IReadOnlyList<float> Mean => Without == "Mean" ? null : new float[3];
        public IReadOnlyList<float> StandardDeviation => Without == "StandardDeviation" ? null : new[] { 1f, 1f, 1f };
        public void Extract(float[] input, int height, int width, float[][] outputs) { }
    }

    static void PartialExtractors()
    {
        using (var options = new Options())
            foreach (var property in new[] { "Name", "Strides", "Channels", "Mean", "StandardDeviation" })
                try
                {
                    options.SetExtractor(new Partial { Without = property });
                    Check(false, "no exception: " + property);
                }
                catch (ArgumentNullException error)
                {
                    Check(error.ParamName == "extractor" && error.Message.Contains("extractor's " + property), error.Message);
                }
    }
}
