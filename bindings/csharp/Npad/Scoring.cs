using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Npad.Native;

namespace Npad
{
    // How a model scores images and draws results.
    public sealed unsafe partial class Model
    {
        /// <summary>Scores one image.</summary>
        public Result Score(Image image)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (var model = Handle.Borrow()) return ScoreOne(model, image, CancellationToken.None);
        }

        private static Result ScoreOne(Handle.Use model, Image image, CancellationToken cancellation)
        {
            npad_result* result = null;
            using (var view = new Image.Pinned(image))
                Cancellable(cancellation, request =>
                {
                    npad_result* scored = null;
                    npad_error* error = null;
                    var native = (npad_model*)model.Pointer;
                    // Only a batch takes a request, and its messages name the image's index.
                    if (request == null)
                        NpadException.Check(NativeMethods.npad_score(native, view.First, &scored, &error), error);
                    else
                        NpadException.Check(NativeMethods.npad_score_batch(
                            native, view.First, view.Count, request, &scored, &error), error, WithoutIndex);
                    result = scored;
                });
            return new Result(new ResultHandle(result));
        }

        private static string WithoutIndex(string message)
        {
            const string index = "image 0: ";
            return message.StartsWith(index, StringComparison.Ordinal) ? message.Substring(index.Length) : message;
        }

        /// <summary>Scores a batch of images, in less time than one at a time. All images are read in one call, so each
        /// needs memory of its own. If one fails, the call throws and returns no results. Cancelling the token ends the call once the image in progress is complete, with an <see
        /// cref="OperationCanceledException"/>.</summary>
        public IReadOnlyList<Result> Score(IReadOnlyList<Image> images, CancellationToken cancellation = default(CancellationToken))
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            var results = new npad_result*[images.Count];
            using (var model = Handle.Borrow())
            using (var views = new Image.Pinned(images))
            fixed (npad_result** first = results)
            {
                if ((ulong)views.Count != (ulong)results.Length)
                    throw new InvalidOperationException("the list of images changed during the call");
                var written = first;
                Cancellable(cancellation, request =>
                {
                    npad_error* error = null;
                    NpadException.Check(NativeMethods.npad_score_batch(
                        (npad_model*)model.Pointer, views.First, views.Count, request, written, &error), error);
                });
            }
            var owned = new ResultHandle[results.Length];
            for (var i = 0; i < owned.Length; i++) owned[i] = new ResultHandle(results[i]);
            return Array.ConvertAll(owned, handle => new Result(handle));
        }

        /// <summary>Scores one image on a thread-pool thread. Cancelling the token before the image is in progress
        /// cancels the task. The pixels must not change until the task has ended. The model may be disposed of earlier: it
        /// is freed after the task. If the image is null or the model has been disposed of, this method throws.</summary>
        public Task<Result> ScoreAsync(Image image, CancellationToken cancellation = default(CancellationToken))
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            var model = Handle.Borrow();
            Task<Result> task;
            try
            {
                task = Task.Run(() => ScoreOne(model, image, cancellation), cancellation);
            }
            catch
            {
                model.Dispose();
                throw;
            }
            // Not in the task, which does not run if it is cancelled before its turn.
            task.ContinueWith(_ => model.Dispose(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
            return task;
        }

        /// <summary>Scores into an array for the anomaly map, Width * Height values of the image, without a result to
        /// dispose of. Returns the raw score, the calibrated score and the verdict.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(Image image, float[] map)
        {
            if (map == null) throw new ArgumentNullException(nameof(map));
            return Brief(image, new Output(map));
        }

        /// <summary>Scores one image into arrays of the caller.</summary>
        public void ScoreInto(Image image, Output output)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            if (output == null) throw new ArgumentNullException(nameof(output));
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var view = new Image.Pinned(image))
            using (var target = new Output.Pinned(new[] { output }, new[] { image }))
            {
                NpadException.Check(NativeMethods.npad_score_into(
                    (npad_model*)model.Pointer, view.First, target.First, &error), error);
                target.Take();
            }
        }

        /// <summary>Scores a batch of images, each into the output of the same index. All images are read in one call, so
        /// each needs memory of its own. Outputs must not share memory. After a failure the content of the maps is undefined.</summary>
        public void ScoreInto(IReadOnlyList<Image> images, IReadOnlyList<Output> outputs,
            CancellationToken cancellation = default(CancellationToken))
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            var all = new List<Image>(images);
            using (var model = Handle.Borrow())
            using (var views = new Image.Pinned(all))
            using (var targets = new Output.Pinned(outputs, all))
            {
                Cancellable(cancellation, request =>
                {
                    npad_error* error = null;
                    NpadException.Check(NativeMethods.npad_score_batch_into(
                        (npad_model*)model.Pointer, views.First, views.Count, request, targets.First, &error), error);
                });
                targets.Take();
            }
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>Scores pixels; <paramref name="stride"/> is in bytes, 0 means rows without padding.</summary>
        public Result Score(ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, int stride = 0)
        {
            CheckPixels(pixels, width, height, format, stride);
            fixed (byte* first = &MemoryMarshal.GetReference(pixels))
                return Score(new Image((IntPtr)first, width, height, format, stride));
        }

        /// <summary>Scores pixels into memory for the anomaly map, width * height values.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(
            ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, Span<float> map, int stride = 0)
        {
            CheckPixels(pixels, width, height, format, stride);
            fixed (byte* first = &MemoryMarshal.GetReference(pixels))
                return ScoreInto(new Image((IntPtr)first, width, height, format, stride), map);
        }

        /// <summary>Scores one image into memory for the anomaly map, Width * Height values of the image.</summary>
        public (float Score, float CalibratedScore, Verdict Verdict) ScoreInto(Image image, Span<float> map)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            Extent.CheckRoom(map.Length, image.Width, image.Height, 1, nameof(map));
            fixed (float* first = &MemoryMarshal.GetReference(map))
                return Brief(image, new Output((IntPtr)first, 0, IntPtr.Zero, 0));
        }

        private static void CheckPixels(ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, int stride)
        {
            if (format == PixelFormat.Rgb8Planar)
                throw new ArgumentException("three planes are needed: use Image.Planar", nameof(format));
            var row = Math.Max((long)width, 0) * Image.PixelSize(format);
            var needed = Extent.Bytes(height, stride == 0 ? row : stride, row);
            if (pixels.Length < needed)
                throw new ArgumentException(
                    "there are " + pixels.Length + " bytes of pixels, but their geometry needs " + needed, nameof(pixels));
        }
#endif

        private (float Score, float CalibratedScore, Verdict Verdict) Brief(Image image, Output output)
        {
            ScoreInto(image, output);
            return (output.Score, output.CalibratedScore, output.Verdict);
        }

        /// <summary>Draws the anomaly map of a result over its image: rows of 3 * Width bytes, red, green and blue, or blue,
        /// green and red as Windows bitmaps have them.</summary>
        public byte[] Render(Image image, Result result, PixelFormat format = PixelFormat.Rgb8)
        {
            if (result == null) throw new ArgumentNullException(nameof(result));
            return Picture(image, (model, view, pixels) =>
            {
                npad_error* error = null;
                using (var scored = result.Handle.Borrow())
                    NpadException.Check(NativeMethods.npad_render(
                        model, view, (npad_result*)scored.Pointer, pixels, 0, (int)format, &error), error);
            });
        }

        /// <summary>Draws the anomaly map that ScoreInto wrote over its image, with boxes around the stored
        /// regions.</summary>
        public byte[] Render(Image image, Output output, PixelFormat format = PixelFormat.Rgb8)
        {
            if (output == null) throw new ArgumentNullException(nameof(output));
            return Picture(image, (model, view, pixels) =>
            {
                npad_error* error = null;
                using (var pins = new Pins())
                {
                    var written = output.Written(pins, image);
                    NpadException.Check(NativeMethods.npad_render_output(
                        model, view, &written, pixels, 0, (int)format, &error), error);
                }
            });
        }

        private delegate void Drawing(npad_model* model, npad_image* view, byte* pixels);

        private byte[] Picture(Image image, Drawing draw)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            var pixels = Extent.Array<byte>(image.Width, image.Height, 3);
            using (var model = Handle.Borrow())
            using (var view = new Image.Pinned(image))
            fixed (byte* first = pixels)
                draw((npad_model*)model.Pointer, view.First, first);
            return pixels;
        }

        private delegate void Call(npad_cancellation* request);

        /// <summary>Runs a call that a token can cancel.</summary>
        private static void Cancellable(CancellationToken token, Call call)
        {
            if (!token.CanBeCanceled)
            {
                call(null);
                return;
            }
            token.ThrowIfCancellationRequested();
            using (var request = new CancellationHandle())
            using (var use = request.Borrow())
            // Disposing of the registration waits for a cancellation under way, so the request outlives it.
            using (token.Register(request.Cancel))
                try
                {
                    call((npad_cancellation*)use.Pointer);
                }
                catch (NpadException error) when (error.Status == NpadStatus.Cancelled && token.IsCancellationRequested)
                {
                    throw new OperationCanceledException(error.Message, error, token);
                }
        }
    }
}
