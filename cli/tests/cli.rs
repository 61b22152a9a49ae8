//! The command-line tool as a user runs it.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Gray;
use image::{ImageBuffer, Luma};
use npad::image::{ImageView, PixelFormat};
use npad::model::{Model, Options};
use serde_json::Value;
use tempfile::TempDir;
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::Gray32Float;

/// Fit options that keep tests quick.
const QUICK: [&str; 4] = ["--size", "96", "--set", "npad.channels=40"];

fn npad<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_npad")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The message of a run that must fail with that exit code and print nothing else.
fn failure(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

/// A folder with good images in several formats, a scratched one, and a model of the good ones.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        std::fs::create_dir(shop.path("good")).unwrap();
        for (seed, ending) in ["png", "jpg", "bmp", "tif", "pgm"].iter().cycle().take(15).enumerate() {
            write(&shop.path(&format!("good/{seed:02}.{ending}")), &Gray::good(160, 120, seed as u64));
        }
        write(&shop.path("scratched.png"), &Gray::scratched(160, 120, 100, (90, 30)));
        write(&shop.path("fine.png"), &Gray::good(160, 120, 100));
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fit(&self) -> PathBuf {
        let model = self.path("model.npad");
        stdout(&npad(self.fit_arguments(&model)));
        model
    }

    fn fit_arguments(&self, model: &Path) -> Vec<String> {
        let path = |p: &Path| p.to_str().unwrap().to_owned();
        let mut arguments = vec!["fit".to_owned(), path(&self.path("good")), "-o".to_owned(), path(model)];
        arguments.extend(QUICK.map(str::to_owned));
        arguments
    }
}

fn write(path: &Path, image: &Gray) {
    if path.extension().is_some_and(|e| e == "pgm") {
        std::fs::write(path, image.pgm()).unwrap();
    } else {
        let (width, height) = (image.width as u32, image.height as u32);
        image::save_buffer(path, &image.pixels, width, height, image::ExtendedColorType::L8).unwrap();
    }
}

#[test]
fn fit_score_and_heatmaps() {
    let shop = Shop::new();
    let model = shop.fit();
    let [fine, scratched, heatmaps] = ["fine.png", "scratched.png", "heat maps"].map(|name| shop.path(name));
    let output = npad([
        "score".as_ref(),
        model.as_os_str(),
        fine.as_ref(),
        scratched.as_ref(),
        "--json".as_ref(),
        "--heatmap".as_ref(),
        heatmaps.as_ref(),
    ]);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["path"], fine.to_str().unwrap());
    assert_eq!((&lines[0]["anomalous"], &lines[1]["anomalous"]), (&Value::Bool(false), &Value::Bool(true)));
    assert!(lines[0]["score"].as_f64() < lines[1]["score"].as_f64() && lines[1]["ms"].as_f64().unwrap() > 0.0);
    let region = &lines[1]["regions"][0];
    assert!((80.0..120.0).contains(&region["centroid"][0].as_f64().unwrap()), "{region}");
    for key in ["x", "y", "width", "height", "area", "peak"] {
        assert!(region[key].is_number(), "{key}");
    }
    // Under Wine, ONNX Runtime reports that it found no DirectX.
    assert!(cfg!(windows) || output.stderr.is_empty(), "silent in a pipe");
    let picture = image::open(heatmaps.join("scratched.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (320, 120), "image and map side by side");
    let plain = stdout(&npad(["score".as_ref(), model.as_os_str(), scratched.as_ref()]));
    assert!(plain.starts_with("DEFECTIVE"), "{plain}");
}

#[test]
fn images_of_the_same_name_have_heat_maps_of_their_own() {
    let shop = Shop::new();
    let model = shop.fit();
    for (folder, seed) in [("a", 200), ("b", 201)] {
        std::fs::create_dir(shop.path(folder)).unwrap();
        write(&shop.path(&format!("{folder}/000.png")), &Gray::scratched(160, 120, seed, (20, 20)));
    }
    write(&shop.path("a/000.jpg"), &Gray::good(160, 120, 202));
    let score = |images: &[&str], folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.current_dir(shop.folder.path()).arg("score").arg(&model).args(images).args(["--heatmap", folder]);
        command.output().unwrap()
    };
    let absolute = shop.path("b/000.png");
    assert_eq!(stdout(&score(&["a/000.png", "a/../b/000.png", absolute.to_str().unwrap()], "maps")).lines().count(), 3);
    let pictures = ["maps/a/000.png", "maps/b/000.png"].map(|name| std::fs::read(shop.path(name)).unwrap());
    assert_ne!(pictures[0], pictures[1]);
    stdout(&score(&["a/000.png", "a/000.jpg"], "endings"));
    assert!(["endings/000.png", "endings/000.jpg.png"].iter().all(|name| shop.path(name).is_file()));

    // Refused before anything is scored.
    std::fs::copy(shop.path("a/000.jpg"), shop.path("a/000.jpg.png")).unwrap();
    let refused = score(&["a/000.jpg", "a/000.jpg.png"], "collision");
    assert!(failure(&refused, 2).contains("would both need the name 000.jpg.png") && refused.stdout.is_empty());
    assert!(!shop.path("collision").exists());
    let before = std::fs::read(shop.path("a/000.png")).unwrap();
    let refused = score(&["a/000.png"], "a");
    assert!(failure(&refused, 2).contains("is the folder of the image") && refused.stdout.is_empty());
    assert!(before == std::fs::read(shop.path("a/000.png")).unwrap());
    let refused = score(&["a/000.png"], "model.npad");
    assert!(failure(&refused, 1).contains("model.npad") && refused.stdout.is_empty());
}

/// A dark image of 16 bits, of which 8 bits keep only a handful of values.
fn dark(seed: u64) -> Vec<u16> {
    let mut random = npad::math::random::Random::new(seed);
    let pixels = Gray::good(160, 120, seed).pixels;
    pixels.into_iter().map(|v| u16::from(v) * 8 + random.below(8) as u16).collect()
}

#[test]
fn images_of_sixteen_bits_and_floats_score_as_through_the_library() {
    let shop = Shop::new();
    std::fs::create_dir(shop.path("dark")).unwrap();
    for seed in 0..20 {
        let path = shop.path(&format!("dark/{seed:02}.png"));
        ImageBuffer::<Luma<u16>, _>::from_raw(160, 120, dark(seed)).unwrap().save(path).unwrap();
    }
    let model = shop.path("dark.npad");
    let arguments = ["fit".into(), shop.path("dark").into_os_string(), "-o".into(), model.clone().into_os_string()];
    let rate = ["--set", "false_alarm_rate=0.05"];
    let output = npad(arguments.into_iter().chain(QUICK.map(Into::into)).chain(rate.map(Into::into)));
    stdout(&output);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "20 images are enough for this rate");

    let values = dark(100);
    let wide = ImageBuffer::<Luma<u16>, _>::from_raw(160, 120, values.clone()).unwrap();
    for name in ["wide.png", "wide.tif", "wide.pgm"] {
        wide.save(shop.path(name)).unwrap();
    }
    image::DynamicImage::from(wide).into_luma8().save(shop.path("narrow.png")).unwrap();
    let floats: Vec<f32> = values.iter().map(|v| f32::from(*v) / 65_535.0).collect();
    let mut encoder = TiffEncoder::new(std::fs::File::create(shop.path("float.tif")).unwrap()).unwrap();
    encoder.write_image::<Gray32Float>(160, 120, &floats).unwrap();

    let names = ["wide.png", "wide.tif", "wide.pgm", "float.tif", "narrow.png"];
    let arguments = ["score".as_ref(), model.as_os_str(), "--json".as_ref()].map(ToOwned::to_owned);
    let output = npad(arguments.into_iter().chain(names.map(|name| shop.path(name).into_os_string())));
    let told: Vec<u32> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["score"].as_f64().unwrap())
        .map(|score| (score as f32).to_bits())
        .collect();

    let library = Model::load(&model, &Options::default()).unwrap();
    let score = |bytes: Vec<u8>, stride: usize, format: PixelFormat| {
        let view = ImageView::new(&bytes, 160, 120, stride, format).unwrap();
        library.score(&view).unwrap().score.to_bits()
    };
    let wide = score(values.iter().flat_map(|v| v.to_ne_bytes()).collect(), 320, PixelFormat::Gray16);
    let float = score(floats.iter().flat_map(|v| v.to_ne_bytes()).collect(), 640, PixelFormat::Grayf32);
    assert_eq!(told[..4], [wide, wide, wide, float]);
    assert_ne!(told[4], wide, "8 bits lose what matters here");
}

#[test]
fn the_librarys_warnings_are_shown() {
    let shop = Shop::new();
    let run = |kernels: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.args(shop.fit_arguments(&shop.path("model.npad"))).env("NPAD_TEST_KERNELS", kernels);
        let output = command.output().unwrap();
        stdout(&output);
        output
    };
    let message = String::from_utf8_lossy(&run("abacus").stderr).into_owned();
    assert!(message.contains("npad: warning: NPAD_TEST_KERNELS is 'abacus', but this processor has "), "{message}");
    let output = run("portable");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message
            .starts_with("npad: warning: a false-alarm rate of 1 % takes the scores of 100 good images; with 15 the"),
        "{message}"
    );
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
    use std::fs::OpenOptions;
    use std::process::Stdio;
    let run = |stdout: Stdio| Command::new(env!("CARGO_BIN_EXE_npad")).arg("info").stdout(stdout).output().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run(writer.into());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        assert!(failure(&run(full.into()), 1).contains("cannot write to standard output"));
    }
}

#[test]
fn a_target_that_cannot_be_written_is_refused_before_the_work() {
    let shop = Shop::new();
    let good = shop.path("good");
    let fit = |target: &Path| npad(["fit".as_ref(), good.as_os_str(), "-o".as_ref(), target.as_os_str()]);
    let output = fit(&shop.path("good"));
    let message = failure(&output, 1);
    assert!(message.contains("this is a folder") && !message.contains("warning"), "{message}");
    // The data set does not exist either: the target is looked at first.
    for option in ["--json", "--report"] {
        for (target, expected) in [(good.clone(), "this is a folder"), (shop.path("none/file"), "no such folder")] {
            let output = npad(["eval".as_ref(), "no-data-set".as_ref(), option.as_ref(), target.as_os_str()]);
            let message = failure(&output, 1);
            assert!(message.contains(expected), "{option} {}: {message}", target.display());
        }
    }
    assert!(failure(&npad(["eval", "no-data-set"]), 1).contains("there is no such file or folder"));
}

#[test]
fn info_and_bench_describe_the_model() {
    let shop = Shop::new();
    let model = shop.fit();
    let info: Value = serde_json::from_str(&stdout(&npad(["info".as_ref(), model.as_os_str()]))).unwrap();
    assert_eq!((&info["method"], &info["images"]), (&"npad".into(), &15.into()));
    let card = stdout(&npad(["info".as_ref(), model.as_os_str(), "--card".as_ref()]));
    let hash = info["images_hash"].as_str().unwrap();
    assert!(card.starts_with("Good images learnt\n") && card.contains(hash), "{card}");
    assert_eq!(card, Model::load(&model, &Options::default()).unwrap().card());
    assert!(failure(&npad(["info", "--card"]), 2).contains("MODEL"));
    let bench = npad(["bench".as_ref(), model.as_os_str(), "--json".as_ref(), "--runs".as_ref(), "20".as_ref()]);
    let bench: Value = serde_json::from_str(&stdout(&bench)).unwrap();
    for key in
        ["backbone_ms_p50", "score_ms_p50", "score_ms_p99", "ratio", "images_per_s", "load_ms", "model_mb", "peak_mb"]
    {
        assert!(bench[key].as_f64().is_some_and(|v| v > 0.0) || cfg!(not(target_os = "linux")), "{key}: {bench}");
    }
    let options = stdout(&npad(["info"]));
    for name in ["method = npad", "npad.channels = 4096", "false_alarm_rate = 0.01", "date = today"] {
        assert!(options.contains(name), "{name}");
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    let shop = Shop::new();
    let good = shop.path("good");
    let good = good.to_str().unwrap();
    for (extra, expected) in [
        (&["--method", "nothing"][..], "must be one of: npad"),
        (&["--set", "npad.nothing=1"], "npad.channels"),
        (&["--set", "nothing"], "KEY=VALUE"),
        (&["--set", "npad.regularisation=NaN"], "must be a number"),
        (&["--set", "npad.similarity_power=inf"], "must be a number"),
        (&["--size", "7"], "sides are"),
        (&["--device", "abacus"], "cpu, cuda[:N]"),
        (&["--threads", "many"], "whole number"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let arguments = [&["fit", good, "-o", "never-written.npad"], extra].concat();
        let message = failure(&npad(arguments), 2);
        assert!(message.contains(expected), "{extra:?}: {message}");
    }
    assert!(!Path::new("never-written.npad").exists());
}

#[test]
fn an_unreadable_file_is_named_and_nothing_is_lost() {
    let shop = Shop::new();
    let model = shop.fit();
    let before = std::fs::read(&model).unwrap();
    std::fs::write(shop.path("good/07 broken.png"), b"not an image").unwrap();
    let message = failure(&npad(shop.fit_arguments(&model)), 1);
    assert!(message.contains("07 broken.png"), "{message}");
    assert!(before == std::fs::read(&model).unwrap(), "the old model is untouched");
    // The other images are still scored.
    let (broken, fine) = (shop.path("good/07 broken.png"), shop.path("fine.png"));
    let output = npad(["score".as_ref(), model.as_os_str(), broken.as_ref(), fine.as_ref(), "--json".as_ref()]);
    assert!(failure(&output, 1).contains("1 of 2 images"));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
}

#[test]
fn folders_without_enough_images_are_refused() {
    let shop = Shop::new();
    let model = shop.path("model.npad");
    let fit = |folder: &Path| npad(["fit".as_ref(), folder.as_os_str(), "-o".as_ref(), model.as_ref()]);
    std::fs::create_dir(shop.path("empty")).unwrap();
    assert!(failure(&fit(&shop.path("empty")), 1).contains("no images"));
    assert!(failure(&fit(&shop.path("none")), 1).contains("none"));
    write(&shop.path("empty/one.png"), &Gray::good(50, 50, 1));
    assert!(failure(&fit(&shop.path("empty")), 1).contains("1 good images are too few"));
    assert!(!model.exists());
    let nowhere = shop.path("no/such/folder/model.npad");
    assert!(failure(&npad(shop.fit_arguments(&nowhere)), 1).contains("no such folder"));
}

/// A file size limit stands for a full disk: writing fails half way through the model.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_old_model() {
    let shop = Shop::new();
    let model = shop.fit();
    let before = std::fs::read(&model).unwrap();
    let files = std::fs::read_dir(shop.folder.path()).unwrap().count();
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_npad")]).args(shop.fit_arguments(&model));
    let message = failure(&command.output().unwrap(), 1);
    assert!(message.contains("cannot write the model") && message.contains("unchanged"), "{message}");
    assert!(before == std::fs::read(&model).unwrap());
    assert_eq!(std::fs::read_dir(shop.folder.path()).unwrap().count(), files, "no temporary file is left");
}

#[test]
fn broken_models_are_refused() {
    let shop = Shop::new();
    let model = shop.fit();
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    let message = failure(&npad(["info".as_ref(), model.as_os_str()]), 1);
    assert!(message.contains("model.npad") && message.contains("truncated"), "{message}");
    std::fs::write(&model, "hello").unwrap();
    failure(&npad(["score".as_ref(), model.as_os_str(), shop.path("fine.png").as_ref()]), 1);
}

#[test]
fn a_missing_runtime_says_where_it_looked_and_what_to_do() {
    let shop = Shop::new();
    let empty = shop.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let run = |variable: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.args(shop.fit_arguments(&shop.path("model.npad"))).env_remove("NPAD_ONNXRUNTIME");
        command.env("LD_LIBRARY_PATH", "");
        if let Some(path) = variable {
            command.env("NPAD_ONNXRUNTIME", path);
        }
        failure(&command.output().unwrap(), 1)
    };
    let system = if cfg!(windows) { "a folder of PATH" } else { "system's loader" };
    let places = ["npad_runtime_open", "NPAD_ONNXRUNTIME", "beside", system, "Install ONNX Runtime"];
    for place in places {
        assert!(run(None).contains(place), "{place}");
    }
    let wrong = run(Some(&empty));
    assert!(
        wrong.contains(empty.to_str().unwrap()),
        "a wrong choice is an error, not a reason to look elsewhere: {wrong}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_runtime_is_sought_beside_the_tool_itself_whatever_its_caller_calls_it() {
    use std::os::unix::process::CommandExt;

    let shop = Shop::new();
    std::fs::create_dir(shop.path("trap")).unwrap();
    std::fs::write(shop.path("trap/libonnxruntime.so"), "no library").unwrap();
    for name in ["trap/npad", shop.path("trap/npad").to_str().unwrap()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.args(shop.fit_arguments(&shop.path("model.npad"))).arg0(name).current_dir(shop.path("."));
        let message = failure(&command.env_remove("NPAD_ONNXRUNTIME").output().unwrap(), 1);
        let own = Path::new(env!("CARGO_BIN_EXE_npad")).parent().unwrap().canonicalize().unwrap();
        assert!(message.contains(&format!("beside this library, {}:", own.display())), "{message}");
        assert!(!message.contains("trap"), "{message}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_runtime_that_was_cut_short_or_is_for_another_processor_is_an_error() {
    let shop = Shop::new();
    let given = PathBuf::from(std::env::var_os("NPAD_ONNXRUNTIME").expect("NPAD_ONNXRUNTIME is set"));
    let library = std::fs::read_dir(given).unwrap().map(|entry| entry.unwrap().path());
    let is_runtime = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("libonnxruntime.so");
    let whole = std::fs::read(library.into_iter().find(is_runtime).unwrap()).unwrap();
    let refused = shop.path("libonnxruntime.so");
    let message = |bytes: &[u8]| {
        std::fs::write(&refused, bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
        command.args(shop.fit_arguments(&shop.path("model.npad"))).env("NPAD_ONNXRUNTIME", &refused);
        failure(&command.output().unwrap(), 1)
    };
    for length in [100, 100_000, whole.len() / 2, whole.len() - 1] {
        assert!(message(&whole[..length]).contains("the file is incomplete"), "{length} bytes");
    }
    let mut other = whole;
    // EM_PPC64
    other[18] = 21;
    assert!(message(&other).contains("it is for another processor"));
}

#[test]
#[cfg(unix)]
fn a_runtime_that_is_too_old_is_refused() {
    let shop = Shop::new();
    let source = shop.path("old.c");
    let code = "static const char *version(void) { return \"1.9.1\"; }\n\
                static const void *api(unsigned v) { (void)v; return 0; }\n\
                static const struct { const void *(*api)(unsigned); const char *(*version)(void); } base = {api, version};\n\
                const void *OrtGetApiBase(void) { return &base; }\n";
    std::fs::write(&source, code).unwrap();
    let library = shop.path("libonnxruntime.so");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(compiled.success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    command.args(shop.fit_arguments(&shop.path("model.npad"))).env("NPAD_ONNXRUNTIME", &library);
    let message = failure(&command.output().unwrap(), 1);
    assert!(message.contains("1.9.1") && message.contains("1.17 or newer"), "{message}");
}

#[test]
#[cfg(unix)]
fn a_plug_in_works_through_every_command() {
    let shop = Shop::new();
    let library = common::c::root().join("examples/c/plugin.c");
    let plugin = common::c::build(&library, shop.folder.path(), "diagonal.so", &["-shared", "-fPIC", "-lm"]);
    let plugin = ["--plugin", plugin.to_str().unwrap()];
    let model = shop.path("diagonal.npad");
    let own = ["--method", "diagonal", "--set", "diagonal.ridge=0.05"];
    stdout(&npad(
        [&shop.fit_arguments(&model).iter().map(String::as_str).collect::<Vec<_>>()[..], &plugin, &own].concat(),
    ));
    let (model, fine, scratched) = (model.to_str().unwrap(), shop.path("fine.png"), shop.path("scratched.png"));
    let images = [fine.to_str().unwrap(), scratched.to_str().unwrap()];
    let lines = stdout(&npad([&["score", model][..], &images, &plugin].concat()));
    assert!(lines.lines().next().unwrap().starts_with("good") && lines.contains("\nDEFECTIVE"), "{lines}");
    assert!(stdout(&npad([&["info", model][..], &plugin].concat())).contains("\"plugin\": \"diagonal.so\""));
    assert!(stdout(&npad([&["info"][..], &plugin].concat())).contains("diagonal.ridge = 0.01"));
    let message = failure(&npad([&["score", model][..], &images].concat()), 1);
    assert!(message.contains("diagonal.so") && message.contains("--plugin"), "{message}");
    let message = failure(&npad(["info", "--plugin", "/none.so"]), 1);
    assert!(message.contains("/none.so"), "{message}");
}

#[test]
fn a_mask_keeps_defects_outside_from_counting() {
    let shop = Shop::new();
    let pixels = (0..160 * 120).map(|i| if i % 160 < 80 { 255 } else { 0 }).collect();
    write(&shop.path("mask.png"), &Gray { width: 160, height: 120, pixels });
    let model = shop.path("masked.npad");
    let mask = shop.path("mask.png");
    let mask = ["--mask".to_owned(), mask.to_str().unwrap().to_owned()];
    stdout(&npad([&shop.fit_arguments(&model)[..], &mask].concat()));
    let line = stdout(&npad([&"score".into(), &model.into_os_string(), &shop.path("scratched.png").into_os_string()]));
    assert!(line.starts_with("good"), "the scratch lies outside: {line}");
}
