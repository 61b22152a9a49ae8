//! Linker settings of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").expect("set by cargo");
    if system == "linux" {
        // ONNX Runtime registers exit handlers, so the library must stay loaded until the process ends.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        // While the major version is 0, another minor version is another interface.
        let part = |name: &str| std::env::var(name).expect("set by cargo");
        let version = format!("{}.{}", part("CARGO_PKG_VERSION_MAJOR"), part("CARGO_PKG_VERSION_MINOR"));
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnpad.so.{version}");
    }
    if system == "macos" {
        // Programs find the library along their rpath, not in the folder in which it was built.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libnpad.dylib");
    }
}
