using Npad.Native;

namespace Npad
{
    /// <summary>The native library as a whole.</summary>
    public static unsafe class Library
    {
        /// <summary>Its version, "MAJOR.MINOR.PATCH".</summary>
        public static string Version => Utf8.Read(NativeMethods.npad_version_string());

        /// <summary>Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it.</summary>
        public static void OpenRuntime(string path)
        {
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_runtime_open(text, &error), error);
        }

        /// <summary>Loads a plug-in with a detection method of its own; it stays loaded until the process ends.</summary>
        public static void LoadPlugin(string path)
        {
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_plugin_load(text, &error), error);
        }
    }
}
