//! OpenVINO on the CPU, which any x86-64 machine can run: fits and scores are those of ONNX Runtime's own CPU. A process has one
//! ONNX Runtime, so this has a process of its own.

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use common::compare::{MOST, difference, inspections};
use common::{built_in_methods, fit, good_images, network, options};
use npad::backbone::{check_device, open_runtime};
use npad::error::Status;
use npad::exec::progress::Progress;
use npad::model::{Model, Trainer};

/// Opens the OpenVINO build of ONNX Runtime; false where there is none.
fn opened() -> bool {
    let Some(folder) = std::env::var_os("NPAD_TEST_ONNXRUNTIME_OPENVINO") else {
        println!(
            "skipped: NPAD_TEST_ONNXRUNTIME_OPENVINO names no OpenVINO build of ONNX Runtime (`make test` fetches one)"
        );
        return false;
    };
    open_runtime(Path::new(&folder)).unwrap();
    true
}

#[test]
fn fits_and_scores_on_openvino_are_those_on_the_cpu() {
    if !opened() {
        return;
    }
    for method in built_in_methods() {
        let on = |device| options(&[("method", method), ("device", device)]);
        let cpu = fit(&on("cpu"), &good_images(16)).unwrap();
        let bytes = cpu.to_bytes().unwrap();
        for scoring in ["kernels", "graph"].into_iter().filter(|scoring| *scoring == "kernels" || method != "spade") {
            let loaded = Model::from_bytes(&bytes, &options(&[("device", "openvino"), ("scoring", scoring)])).unwrap();
            assert_eq!(loaded.device().to_string(), "openvino:CPU");
            let apart = difference(&cpu, &loaded);
            println!("{method}, {scoring}: scores {apart:e}");
            assert!(apart < MOST, "{method}, {scoring}: scores differ by {apart}");
        }
        let fitted = fit(&on("openvino"), &good_images(16)).unwrap();
        let apart = difference(&cpu, &fitted);
        println!("{method}: fits {apart:e}");
        assert!(apart < MOST, "{method}: fits differ by {apart}");
    }
}

/// What OpenVINO compiles for a network is found in the folder of the option, one folder for each network.
#[test]
fn what_openvino_builds_is_kept() {
    if !opened() {
        return;
    }
    let (folder, model) = (tempfile::tempdir().unwrap(), fit(&options(&[]), &good_images(12)).unwrap());
    let cached = options(&[("device", "openvino"), ("device_cache", folder.path().to_str().unwrap())]);
    let bytes = model.to_bytes().unwrap();
    let files = || {
        let folders = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        folders
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path())
            .collect::<Vec<_>>()
    };
    let first = inspections(&Model::from_bytes(&bytes, &cached).unwrap());
    let built = files();
    assert!(!built.is_empty());
    assert!(inspections(&Model::from_bytes(&bytes, &cached).unwrap()) == first);
    assert_eq!(files(), built, "nothing is built anew");
    let missing = options(&[("device", "openvino"), ("device_cache", "/nowhere/at all")]);
    for error in [Trainer::new(&missing).err(), Model::from_bytes(&bytes, &missing).err()] {
        let error = error.unwrap();
        assert!(error.status() == Status::NotFound && error.message().contains("device_cache is /nowhere"), "{error}");
    }
}

#[test]
fn a_load_reports_its_progress_and_may_be_cancelled() {
    if !opened() {
        return;
    }
    let bytes = fit(&options(&[]), &good_images(12)).unwrap().to_bytes().unwrap();
    for last in 0..4 {
        let steps = Arc::new(Mutex::new(Vec::new()));
        let (mut on_openvino, heard) = (options(&[("device", "openvino")]), steps.clone());
        on_openvino.set_progress(Progress::new(move |step| {
            heard.lock().unwrap().push((step.stage.to_owned(), step.done));
            step.done < last
        }));
        let loaded = Model::from_bytes(&bytes, &on_openvino);
        assert_eq!(loaded.err().map(|error| error.status()), Some(Status::Cancelled));
        let expected: Vec<_> = (0..=last).map(|done| ("preparing the device".to_owned(), done)).collect();
        assert_eq!(*steps.lock().unwrap(), expected);
    }
}

/// The session is one for all, whose calls may run at once.
#[test]
fn many_threads_share_a_session() {
    if !opened() {
        return;
    }
    for method in built_in_methods() {
        let scoring = if method == "spade" { "kernels" } else { "graph" };
        let settings = [("method", method), ("device", "openvino"), ("max_calls", "8"), ("scoring", scoring)];
        let on_openvino = options(&settings);
        let model = fit(&on_openvino, &good_images(8)).unwrap();
        let expected = inspections(&model);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert!((0..3).all(|_| inspections(&model) == expected), "{method}"));
            }
        });
    }
}

/// OpenVINO has no such operator. Left alone, ONNX Runtime would run it on the CPU, and say nothing.
#[test]
fn a_network_that_openvino_does_not_take_whole_is_refused() {
    if !opened() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let nodes = [network::pooling("image", "pooled", 4), network::node("Bernoulli", &["pooled"], "out")];
    let (image, out) = (network::value("image", 1, &[1, 3, 0, 0]), network::value("out", 1, &[1, 3, 0, 0]));
    std::fs::write(&path, network::model(&nodes, &[image], &[out])).unwrap();
    let backbone = ("backbone", path.to_str().unwrap());
    Trainer::new(&options(&[backbone])).unwrap();
    let error = Trainer::new(&options(&[backbone, ("device", "openvino")])).err().unwrap();
    assert!(error.status() == Status::Device && error.message().contains("does not take all operators"), "{error}");
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged.
struct Heard;

impl log::Log for Heard {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        HEARD.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn devices_are_checked() {
    if !opened() {
        return;
    }
    for usable in ["cpu", "auto", "openvino", "openvino:CPU"] {
        check_device(usable).unwrap();
    }
    for (name, status) in [("abacus", Status::InvalidOption), ("cuda:0", Status::Device), ("directml", Status::Device)]
    {
        assert_eq!(check_device(name).map_err(|error| error.status()), Err(status), "{name}");
    }
    log::set_logger(&Heard).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let model = fit(&options(&[("device", "auto")]), &good_images(8)).unwrap();
    check_device(&model.device().to_string()).unwrap();
    let expected = format!("device auto is {}; not cuda:0: ONNX Runtime", model.device());
    assert!(HEARD.lock().unwrap().iter().any(|message| message.starts_with(&expected)), "{expected}");
}
