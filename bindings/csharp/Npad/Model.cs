using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
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
                if (images is IReadOnlyCollection<Image> known) trainer.Expect(known.Count);
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

        /// <summary>Scores several images, all or none. A cancellation is looked at between images.</summary>
        public IReadOnlyList<Result> Score(IReadOnlyList<Image> images, CancellationToken cancellation = default)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            cancellation.ThrowIfCancellationRequested();
            var results = new npad_result*[images.Count];
            npad_error* error = null;
            using (var token = new CancellationHandle(NativeMethods.npad_cancellation_new()))
            using (cancellation.Register(token.Cancel))
            using (var model = Handle.Borrow())
            using (var asked = token.Borrow())
            using (var views = new Image.Pinned(images))
            fixed (npad_result** first = results)
            {
                var status = NativeMethods.npad_score_batch((npad_model*)model.Pointer, views.First, views.Count,
                    (npad_cancellation*)asked.Pointer, first, &error);
                if (status == Status.Cancelled)
                {
                    NativeMethods.npad_error_free(error);
                    throw new OperationCanceledException(cancellation);
                }
                NpadException.Check(status, error);
            }
            var owned = new List<Result>(results.Length);
            foreach (var result in results) owned.Add(new Result(result));
            return owned;
        }

        /// <summary>Scores an image on a thread of the pool.</summary>
        public Task<Result> ScoreAsync(Image image, CancellationToken cancellation = default) =>
            Task.Run(() => Score(new[] { image }, cancellation)[0], cancellation);

        /// <summary>Scores one image into an array for its anomaly map, Width * Height values, row after row.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(Image image, float[] map)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            if (map == null) throw new ArgumentNullException(nameof(map));
            return ScoreInto(image, map.LongLength, map, IntPtr.Zero);
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>Scores one image into memory for its anomaly map, Width * Height values, row after row.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(Image image, Span<float> map)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            fixed (float* values = map) return ScoreInto(image, map.Length, null, (IntPtr)values);
        }
#endif

        private (float, float, Verdict) ScoreInto(Image image, long length, float[] array, IntPtr pointer)
        {
            var needed = (long)image.Width * image.Height;
            if (length < needed)
                throw new ArgumentException("the map has room for " + length + " values, but the image has " + needed + " pixels");
            var output = new npad_output { size = (UIntPtr)(uint)sizeof(npad_output) };
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var view = new Image.Pinned(new[] { image }))
            fixed (float* values = array)
            {
                output.map = array != null ? values : (float*)pointer;
                NpadException.Check(NativeMethods.npad_score_into((npad_model*)model.Pointer, view.First, &output, &error), error);
            }
            return (output.score, output.calibrated_score, (Verdict)output.verdict);
        }

        /// <summary>Makes everything ready for images of a size, so that the first one takes no longer than those that follow.</summary>
        public void WarmUp(int width, int height)
        {
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_model_warm_up((npad_model*)model.Pointer, width, height, &error), error);
        }

        /// <summary>The detection method.</summary>
        public string Method
        {
            get { using (var model = Handle.Borrow()) return Utf8.Read(NativeMethods.npad_model_method((npad_model*)model.Pointer)); }
        }

        /// <summary>Name and checksum of the backbone.</summary>
        public string Backbone
        {
            get { using (var model = Handle.Borrow()) return Utf8.Read(NativeMethods.npad_model_backbone((npad_model*)model.Pointer)); }
        }

        /// <summary>Where the backbone runs.</summary>
        public string Device
        {
            get { using (var model = Handle.Borrow()) return Utf8.Read(NativeMethods.npad_model_device((npad_model*)model.Pointer)); }
        }

        /// <summary>The size of the network's input in pixels.</summary>
        public (int Width, int Height) InputSize
        {
            get
            {
                using (var model = Handle.Borrow())
                    return (NativeMethods.npad_model_input_width((npad_model*)model.Pointer),
                        NativeMethods.npad_model_input_height((npad_model*)model.Pointer));
            }
        }

        /// <summary>Good images that the model has learnt.</summary>
        public long ImageCount
        {
            get { using (var model = Handle.Borrow()) return (long)(ulong)NativeMethods.npad_model_image_count((npad_model*)model.Pointer); }
        }

        /// <summary>The image with its anomaly map laid over it: rows of 3 * Width bytes, red, green and blue, or blue,
        /// green and red as Windows bitmaps have them.</summary>
        public byte[] Render(Image image, Result result, PixelFormat format = PixelFormat.Rgb8)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            if (result == null) throw new ArgumentNullException(nameof(result));
            if (image.Width != result.Width || image.Height != result.Height)
                throw new ArgumentException("the image has " + image.Width + " x " + image.Height + " pixels, but the result is of one with " +
                    result.Width + " x " + result.Height);
            var pixels = new byte[checked(3L * image.Width * image.Height)];
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
