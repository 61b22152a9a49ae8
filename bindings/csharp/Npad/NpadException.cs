using System;
using System.Runtime.ExceptionServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Status codes.</summary>
    public enum NpadStatus
    {
        Ok = 0,
        InvalidArgument = 1,
        InvalidImage = 2,
        InvalidOption = 3,
        NotEnoughImages = 4,
        Io = 5,
        InvalidModel = 6,
        UnsupportedModel = 7,
        Runtime = 8,
        Device = 9,
        Backbone = 10,
        Internal = 11,
        Cancelled = 12,
        Plugin = 13,
        OutOfMemory = 14,
        NotFound = 15,
        WrongState = 16,
        TimedOut = 17,
        UntrustedModel = 18,
    }

    /// <summary>Exception of a failed call. The message says what was wrong, what was expected and what to
    /// do.</summary>
    public sealed class NpadException : Exception
    {
        // npad calls callbacks of fits and extractors on the thread of the call in progress.
        [ThreadStatic] private static ExceptionDispatchInfo raised;

        internal NpadException(NpadStatus status, string message) : base(message)
        {
            Status = status;
        }

        public NpadStatus Status { get; }

        /// <summary>Stores the exception of a callback for the running call on this thread, since no exception may pass
        /// through native code.</summary>
        internal static void Keep(Exception exception) => raised = ExceptionDispatchInfo.Capture(exception);

        /// <summary>Rethrows the exception of a callback, or throws the error of the native call, with its message
        /// reworded.</summary>
        internal static unsafe void Check(Status status, npad_error* error, Func<string, string> reword = null)
        {
            var thrown = raised;
            raised = null;
            if (status == Native.Status.Ok) return;
            var message = Utf8.Read(NativeMethods.npad_error_message(error));
            NativeMethods.npad_error_free(error);
            thrown?.Throw();
            throw new NpadException((NpadStatus)(int)status, reword == null ? message : reword(message));
        }
    }
}
