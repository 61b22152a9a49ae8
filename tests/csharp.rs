//! The raw layer of the C# binding is what the source says.

use std::path::Path;

use npad::abi::callbacks::NPAD_CALLBACK_MESSAGE_SIZE;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Regenerate with `make header`.
#[test]
fn the_native_methods_are_generated_from_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("NativeMethods.g.cs");
    let types = ["error", "image/format", "model/decision", "model/options/table"].map(str::to_owned);
    let abi = ["callbacks", "extractor", "image", "output", "plugin", "version"].map(|name| format!("abi/{name}"));
    let boundary = [
        "cancellation",
        "error",
        "library",
        "lists",
        "log",
        "model",
        "options",
        "render",
        "result",
        "score",
        "signature",
        "thresholds",
        "trainer",
        "trainer_state",
    ]
    .map(|name| format!("ffi/{name}"));
    let sources = types.into_iter().chain(abi).chain(boundary);
    let builder = csbindgen::Builder::default();
    let builder = sources.fold(builder, |b, name| b.input_extern_file(root().join(format!("src/{name}.rs"))));
    builder
        .csharp_dll_name("npad")
        .csharp_namespace("Npad.Native")
        .csharp_class_name("NativeMethods")
        .csharp_use_function_pointer(false)
        .csharp_use_nint_types(false)
        .generate_csharp_file(&path)
        .unwrap();
    let mut generated = std::fs::read_to_string(path).unwrap();
    // Arrays of pointers, and those whose length has a name, are beyond csbindgen.
    for (wrong, right) in [
        ("fixed byte data[3];", "byte* data0;\n        public byte* data1;\n        public byte* data2;"),
        ("fixed byte message[];", &format!("fixed byte message[{NPAD_CALLBACK_MESSAGE_SIZE}];")),
    ] {
        assert_eq!(generated.matches(wrong).count(), 1, "{wrong}");
        generated = generated.replace(wrong, right);
    }
    let committed = root().join("bindings/csharp/Npad/NativeMethods.g.cs");
    if std::env::var_os("NPAD_WRITE_HEADER").is_some() {
        std::fs::write(committed, generated).unwrap();
        return;
    }
    let same = std::fs::read_to_string(committed).is_ok_and(|committed| committed == generated);
    assert!(same, "bindings/csharp/Npad/NativeMethods.g.cs is out of date: run `make header`");
}
