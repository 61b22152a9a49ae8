using System;
using Npad.Native;

namespace Npad
{
    /// <summary>A fit in progress, for images that come one by one. Belongs to one thread at a time.</summary>
    public sealed unsafe class Trainer : IDisposable
    {
        private readonly TrainerHandle handle;
        private readonly object callback;

        public Trainer(Options options = null)
        {
            npad_trainer* trainer = null;
            npad_error* error = null;
            using (var given = new Given(options))
                NpadException.Check(NativeMethods.npad_trainer_new(given.Pointer, &trainer, &error), error);
            handle = new TrainerHandle(trainer);
            callback = options?.Callback;
        }

        private Trainer(npad_trainer* owned, object callback)
        {
            handle = new TrainerHandle(owned);
            this.callback = callback;
        }

        /// <summary>Goes on from a model with further good images, for a new one; of the options, the progress counts.</summary>
        public static Trainer Resume(Model model, Options options = null)
        {
            npad_trainer* trainer = null;
            npad_error* error = null;
            using (var before = model.Handle.Borrow())
            using (var given = new Given(options))
                NpadException.Check(NativeMethods.npad_trainer_resume(
                    (npad_model*)before.Pointer, given.Pointer, &trainer, &error), error);
            return new Trainer(trainer, options?.Callback);
        }

        /// <summary>Learns one good image; a failure changes nothing.</summary>
        public void Add(Image image)
        {
            npad_error* error = null;
            using (var trainer = handle.Borrow())
            using (var view = new Image.Pinned(new[] { image }))
                NpadException.Check(
                    NativeMethods.npad_trainer_add_image((npad_trainer*)trainer.Pointer, view.First, &error), error);
            GC.KeepAlive(callback);
        }

        /// <summary>The good images that this trainer has learnt.</summary>
        public int Count
        {
            get
            {
                using (var trainer = handle.Borrow())
                    return (int)NativeMethods.npad_trainer_image_count((npad_trainer*)trainer.Pointer);
            }
        }

        /// <summary>Ends the fit; with too few images it throws, and more may be added.</summary>
        public Model Finish()
        {
            npad_model* model = null;
            npad_error* error = null;
            using (var trainer = handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_trainer_finish((npad_trainer*)trainer.Pointer, &model, &error), error);
            GC.KeepAlive(callback);
            return new Model(model);
        }

        public void Dispose() => handle.Dispose();
    }
}
