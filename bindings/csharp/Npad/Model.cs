using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>A fitted model. Any number of threads may score with it at once.</summary>
    public sealed unsafe class Model : IDisposable
    {
        internal readonly ModelHandle Handle;

        internal Model(npad_model* owned)
        {
            Handle = new ModelHandle(owned);
        }

        /// <summary>Learns from good images, at least two; 20 or more are recommended.</summary>
        public static Model Fit(IEnumerable<Image> images, Options options = null)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            using (var trainer = new Trainer(options))
            {
                foreach (var image in images) trainer.Add(image);
                return trainer.Finish();
            }
        }

        /// <summary>Reads a model file; of the options, the device and the threads count.</summary>
        public static Model Load(string path, Options options = null)
        {
            npad_model* model = null;
            npad_error* error = null;
            using (var given = new Given(options))
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_model_load(text, given.Pointer, &model, &error), error);
            return new Model(model);
        }

        /// <summary>Reads a model from the bytes of its file.</summary>
        public static Model FromBytes(byte[] bytes, Options options = null)
        {
            if (bytes == null) throw new ArgumentNullException(nameof(bytes));
            npad_model* model = null;
            npad_error* error = null;
            // An empty array has no address, and is no model either.
            using (var given = new Given(options))
            fixed (byte* data = bytes.Length == 0 ? new byte[1] : bytes)
                NpadException.Check(NativeMethods.npad_model_load_memory(
                    data, (UIntPtr)(uint)bytes.Length, given.Pointer, &model, &error), error);
            return new Model(model);
        }

        /// <summary>Writes the model file, all or nothing.</summary>
        public void Save(string path)
        {
            npad_error* error = null;
            using (var model = Handle.Borrow())
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_model_save((npad_model*)model.Pointer, text, &error), error);
        }

        /// <summary>The bytes of the model file.</summary>
        public byte[] ToBytes()
        {
            npad_buffer* buffer = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_model_save_memory((npad_model*)model.Pointer, &buffer, &error), error);
            try
            {
                var bytes = new byte[(int)NativeMethods.npad_buffer_size(buffer)];
                Marshal.Copy((IntPtr)NativeMethods.npad_buffer_data(buffer), bytes, 0, bytes.Length);
                return bytes;
            }
            finally
            {
                NativeMethods.npad_buffer_free(buffer);
            }
        }

        public Result Score(Image image) => Score(new[] { image })[0];

        /// <summary>Scores several images, all or none.</summary>
        public IReadOnlyList<Result> Score(IReadOnlyList<Image> images)
        {
            var results = new npad_result*[images.Count];
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var views = new Image.Pinned(images))
            fixed (npad_result** first = results)
                NpadException.Check(NativeMethods.npad_score_batch(
                    (npad_model*)model.Pointer, views.First, views.Count, first, &error), error);
            var owned = new Result[results.Length];
            for (var i = 0; i < owned.Length; i++) owned[i] = new Result(results[i]);
            return owned;
        }

        /// <summary>Scores into an array for the anomaly map, Width * Height values of the image, without a result to
        /// dispose of. Returns the raw score, the calibrated score and the verdict.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(Image image, float[] map)
        {
            if (map == null) throw new ArgumentNullException(nameof(map));
            if (map.Length < image.Width * image.Height)
                throw new ArgumentException("the map must have room for " + image.Width * image.Height + " values", nameof(map));
            npad_decision decision;
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var view = new Image.Pinned(new[] { image }))
            fixed (float* values = map)
                NpadException.Check(NativeMethods.npad_score_into((npad_model*)model.Pointer, view.First, values, 0, null,
                    UIntPtr.Zero, &decision, &error), error);
            return (decision.score, decision.calibrated_score, (Verdict)decision.verdict);
        }

        /// <summary>The image with its anomaly map laid over it: rows of 3 * Width bytes, red, green and blue, or blue,
        /// green and red as Windows bitmaps have them.</summary>
        public byte[] Render(Image image, Result result, PixelFormat format = PixelFormat.Rgb8)
        {
            var pixels = new byte[3 * image.Width * image.Height];
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var scored = result.Handle.Borrow())
            using (var view = new Image.Pinned(new[] { image }))
            fixed (byte* first = pixels)
                NpadException.Check(NativeMethods.npad_render((npad_model*)model.Pointer, view.First,
                    (npad_result*)scored.Pointer, first, 0, (int)format, &error), error);
            return pixels;
        }

        /// <summary>What the model knows of itself, as JSON.</summary>
        public string Info
        {
            get
            {
                using (var model = Handle.Borrow()) return Utf8.Read(NativeMethods.npad_model_info((npad_model*)model.Pointer));
            }
        }

        /// <summary>The raw score above which an image is defective.</summary>
        public float Threshold
        {
            get
            {
                using (var model = Handle.Borrow()) return NativeMethods.npad_model_threshold((npad_model*)model.Pointer);
            }
        }

        /// <summary>The raw score above which an image is to be reviewed; the threshold itself where there is no review.</summary>
        public float ReviewThreshold
        {
            get
            {
                using (var model = Handle.Borrow())
                    return NativeMethods.npad_model_review_threshold((npad_model*)model.Pointer);
            }
        }

        /// <summary>The value of the anomaly map above which a pixel belongs to a region.</summary>
        public float MapThreshold
        {
            get
            {
                using (var model = Handle.Borrow())
                    return NativeMethods.npad_model_map_threshold((npad_model*)model.Pointer);
            }
        }

        /// <summary>The same model with other thresholds, in the units of raw scores.</summary>
        public Model WithThresholds(float threshold, float review, float mapThreshold)
        {
            npad_model* changed = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_model_with_thresholds(
                    (npad_model*)model.Pointer, threshold, review, mapThreshold, &changed, &error), error);
            return new Model(changed);
        }

        /// <summary>The same model with thresholds from good images that it has not learnt; of the options, the rates
        /// count.</summary>
        public Model Recalibrate(IEnumerable<Image> images, Options options = null)
        {
            npad_model* changed = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var given = new Given(options))
            using (var views = new Image.Pinned(images.ToList()))
                NpadException.Check(NativeMethods.npad_model_recalibrate(
                    (npad_model*)model.Pointer, views.First, views.Count, given.Pointer, &changed, &error), error);
            return new Model(changed);
        }

        public void Dispose() => Handle.Dispose();
    }

    /// <summary>Options for a native call, or null for the defaults.</summary>
    internal readonly unsafe struct Given : IDisposable
    {
        private readonly Handle.Use use;
        private readonly bool given;

        public Given(Options options)
        {
            given = options != null;
            use = given ? options.Handle.Borrow() : default(Handle.Use);
        }

        public npad_options* Pointer => given ? (npad_options*)use.Pointer : null;

        public void Dispose()
        {
            if (given) use.Dispose();
        }
    }
}
