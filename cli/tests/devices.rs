//! Devices through the tool, with builds of ONNX Runtime that `make test` fetches. A process has one of them.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Gray;
use serde_json::Value;
use tempfile::TempDir;

/// What the providers of a build have in common.
#[cfg(target_os = "linux")]
const SHARED: &str = "libonnxruntime_providers_shared.so";

/// A folder with a build of ONNX Runtime, named by an environment variable.
struct Build {
    runtime: PathBuf,
    folder: TempDir,
}

impl Build {
    fn of(variable: &str) -> Option<Self> {
        let Some(runtime) = std::env::var_os(variable) else {
            println!("skipped: {variable} names no build of ONNX Runtime (`make test` fetches one)");
            return None;
        };
        let build = Self { runtime: runtime.into(), folder: TempDir::new().unwrap() };
        std::fs::create_dir(build.path("good")).unwrap();
        for seed in 0..16 {
            std::fs::write(build.path(&format!("good/{seed}.pgm")), Gray::good(160, 120, seed).pgm()).unwrap();
        }
        for seed in 0..4 {
            let image = Gray::scratched(160, 120, 100 + seed, (90, 30));
            std::fs::write(build.path(&format!("scratched{seed}.pgm")), image.pgm()).unwrap();
        }
        Some(build)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn npad(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.current_dir(self.folder.path()).args(arguments).env("NPAD_ONNXRUNTIME", &self.runtime).output().unwrap()
    }

    /// What a run prints that must succeed, and print nothing else.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.npad(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("onnxruntime"), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The message of a run that must fail, and print that line alone.
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.npad(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && said.starts_with("npad: ") && said.lines().count() == 1, "{said}");
        said
    }

    fn fit(&self, model: &str, device: &str) {
        self.prints(&["fit", "good", "-o", model, "--size", "96", "--set", "npad.channels=40", "--device", device]);
    }

    fn info(&self, model: &str, device: &str) -> Value {
        serde_json::from_str(&self.prints(&["info", model, "--device", device])).unwrap()
    }

    /// Score and verdict of each scratched image.
    fn scores(&self, model: &str, device: &str) -> Vec<(f64, bool)> {
        let names: Vec<_> = (0..4).map(|seed| format!("scratched{seed}.pgm")).collect();
        let arguments = ["score", model, "--json", "--device", device];
        let lines = self.prints(&arguments.into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>());
        let values = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        values.map(|value| (value["score"].as_f64().unwrap(), value["anomalous"].as_bool().unwrap())).collect()
    }
}

#[test]
fn without_a_gpu_the_gpu_build_says_what_is_missing_and_auto_takes_the_cpu() {
    let Some(build) = Build::of("NPAD_TEST_ONNXRUNTIME_GPU") else { return };
    if Path::new("/dev/nvidia0").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    for (device, library) in [("cuda:0", "libcu"), ("tensorrt:0", "libcu")] {
        let fit = build.refuses(&["fit", "good", "-o", "none.npad", "--device", device]);
        let checked = build.refuses(&["devices", device]);
        for message in [fit, checked] {
            assert!(message.contains(&format!("device '{device}' cannot be used")), "{message}");
            assert!(message.contains(library) && message.contains("onnxruntime-gpu"), "{message}");
        }
        assert!(!build.path("none.npad").exists());
    }
    let message = build.refuses(&["devices", "openvino"]);
    assert!(
        message.contains("has no OpenVINOExecutionProvider, but only TensorrtExecutionProvider, CUDA"),
        "{message}"
    );
    let output = build.npad(&["devices", "cuda", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["device"], &report["usable"]), (&"cuda:0".into(), &false.into()));
    assert!(!output.status.success() && report["cause"].as_str().unwrap().contains("libcu"), "{report}");
    assert_eq!(build.prints(&["devices", "auto"]).trim(), "auto           is cpu");
    build.fit("model.npad", "auto");
    let machine = &build.info("model.npad", "auto")["machine"];
    assert_eq!((&machine["device"], &machine["device_requested"]), (&"cpu".into(), &"auto".into()));
    let over = machine["passed_over"].as_array().unwrap();
    let names: Vec<_> = over.iter().map(|over| over["device"].as_str().unwrap()).collect();
    assert_eq!(names, ["cuda:0", "directml:0", "openvino:GPU"]);
    assert!(over[0]["cause"].as_str().unwrap().contains("libcu"), "{over:?}");
    assert_eq!(build.scores("model.npad", "auto"), build.scores("model.npad", "cpu"));
}

/// As with Python's `import onnxruntime` before npad's.
#[test]
#[cfg(target_os = "linux")]
fn providers_of_another_onnx_runtime_in_the_process_are_refused() {
    let Some(build) = Build::of("NPAD_TEST_ONNXRUNTIME_OPENVINO") else { return };
    let Some(other) = std::env::var_os("NPAD_TEST_ONNXRUNTIME_GPU") else { return };
    let other = PathBuf::from(other).join(SHARED);
    let own = build.runtime.join(SHARED);
    let check = |preloaded: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.args(["devices", "openvino"]).env("NPAD_ONNXRUNTIME", &build.runtime).env("LD_PRELOAD", preloaded);
        command.output().unwrap()
    };
    let refused = check(&other);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(other.to_str().unwrap()) && said.contains("of another ONNX Runtime"), "{said}");
    assert!(check(&own).status.success());
}

#[test]
fn openvino_scores_as_the_cpu_does_and_lacks_a_gpu() {
    let Some(build) = Build::of("NPAD_TEST_ONNXRUNTIME_OPENVINO") else { return };
    build.fit("cpu.npad", "cpu");
    build.fit("openvino.npad", "openvino");
    assert_eq!(build.info("cpu.npad", "openvino")["machine"]["device"], "openvino:CPU");
    let expected = build.scores("cpu.npad", "cpu");
    for (model, device) in [("cpu.npad", "openvino"), ("openvino.npad", "openvino:CPU"), ("openvino.npad", "cpu")] {
        for ((score, verdict), (expected, same)) in build.scores(model, device).into_iter().zip(&expected) {
            let apart = (score - expected).abs() / expected;
            assert!(apart < 1e-3 && verdict == *same, "{model} on {device}: {score} instead of {expected}");
        }
    }
    let lines = build.prints(&["devices", "--json"]);
    let reports: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let report = |name: &str| reports.iter().find(|report| report["device"] == name).unwrap();
    assert_eq!((&report("cpu")["usable"], &report("openvino:CPU")["usable"]), (&true.into(), &true.into()));
    assert!(report("cuda:0")["cause"].as_str().unwrap().contains("has no CUDAExecutionProvider"), "{lines}");
    assert!(report("cuda:0")["remedy"].as_str().unwrap().contains("onnxruntime-gpu"), "{lines}");
    if Path::new("/dev/dri").exists() {
        println!("this machine may have a GPU of Intel");
        return;
    }
    assert_eq!(report("auto")["is"], "cpu");
    for device in ["openvino:GPU", "openvino:GPU.1", "openvino:NPU"] {
        let message = build.refuses(&["fit", "good", "-o", "none.npad", "--device", device]);
        let kind = &device["openvino:".len()..];
        assert!(message.contains(&format!("device '{device}' cannot be used")), "{message}");
        assert!(message.contains(&format!("Device {kind} is not available")), "{message}");
    }
}
