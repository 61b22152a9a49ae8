using System;
using Npad.Native;

namespace Npad
{
    /// <summary>What went wrong, in the classes that a program can react to.</summary>
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
    }

    /// <summary>A failed call: the message says what was wrong, what was expected and what to do.</summary>
    public sealed class NpadException : Exception
    {
        internal NpadException(NpadStatus status, string message) : base(message)
        {
            Status = status;
        }

        public NpadStatus Status { get; }

        /// <summary>Throws what a native call reports, and frees it.</summary>
        internal static unsafe void Check(Status status, npad_error* error)
        {
            if (status == Native.Status.Ok) return;
            var message = Utf8.Read(NativeMethods.npad_error_message(error));
            NativeMethods.npad_error_free(error);
            throw new NpadException((NpadStatus)(int)status, message);
        }
    }
}
