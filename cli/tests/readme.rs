//! What README shows is what works: its commands are run, its programs compiled and run.
#![cfg(unix)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::Gray;

/// The contents of README's code blocks in that language.
fn blocks(language: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("README.md")).unwrap();
    let start = format!("```{language}\n");
    readme.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_commands_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("good")).unwrap();
    for seed in 0..10 {
        std::fs::write(folder.path().join(format!("good/{seed}.pgm")), Gray::good(90, 90, seed).pgm()).unwrap();
    }
    std::fs::write(folder.path().join("image.png"), Gray::scratched(90, 90, 40, (40, 40)).pgm()).unwrap();
    let tool = Path::new(env!("CARGO_BIN_EXE_npad")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let scripts: Vec<String> = blocks("sh").into_iter().filter(|block| block.contains("npad fit")).collect();
    assert_eq!(scripts.len(), 1);
    let mut shell = Command::new("sh");
    let output = shell.args(["-e", "-c", &scripts[0]]).env("PATH", path).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("maps/image.png").is_file());
}

#[test]
fn the_make_targets_exist() {
    let makefile = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("Makefile")).unwrap();
    for block in blocks("sh") {
        for target in block.lines().filter_map(|line| line.strip_prefix("make ")?.split_whitespace().next()) {
            assert!(makefile.contains(&format!("\n{target}:")), "{target}");
        }
    }
}

/// The project that tests/install builds has the lines that README shows.
#[test]
fn the_cmake_lines_are_those_of_the_tested_project() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("tests/install/cmake/CMakeLists.txt");
    let project = std::fs::read_to_string(project).unwrap().replace("npad 0.2 ", "npad ").replace("(shared", "(app");
    let [lines] = &blocks("cmake")[..] else { panic!("one CMake block") };
    assert!(lines.lines().all(|line| project.contains(line)), "{lines}");
}

#[test]
fn the_cpp_program_compiles_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("good")).unwrap();
    for seed in 0..20 {
        std::fs::write(folder.path().join(format!("good/{seed:02}.png")), Gray::good(160, 120, seed).pgm()).unwrap();
    }
    std::fs::write(folder.path().join("image.png"), Gray::scratched(160, 120, 40, (40, 40)).pgm()).unwrap();
    let [source] = &blocks("cpp")[..] else { panic!("one C++ program") };
    std::fs::write(folder.path().join("program.cpp"), source).unwrap();
    let flags = ["-isystem/usr/include/opencv4", "-lopencv_core", "-lopencv_imgcodecs"];
    let program = common::c::compile(&folder.path().join("program.cpp"), folder.path(), &flags);
    let output = common::c::text(&common::c::command(&program, folder.path()).output().unwrap());
    assert!(output.starts_with("DEFECTIVE, "), "{output}");
    assert!(folder.path().join("overlay.png").is_file());
}

#[test]
fn the_csharp_program_compiles_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("good")).unwrap();
    for seed in 0..20 {
        std::fs::write(folder.path().join(format!("good/{seed}.raw")), Gray::good(160, 120, seed).pixels).unwrap();
    }
    std::fs::write(folder.path().join("image.raw"), Gray::scratched(160, 120, 40, (40, 40)).pixels).unwrap();
    let [source] = &blocks("csharp")[..] else { panic!("one C# program") };
    std::fs::write(folder.path().join("program.cs"), source).unwrap();
    let run = |command: &mut Command| {
        common::c::text(
            &command.current_dir(folder.path()).env("LD_LIBRARY_PATH", common::c::library_folder()).output().unwrap(),
        )
    };
    let binding = format!("{}/../bindings/csharp/Npad/*.cs", env!("CARGO_MANIFEST_DIR"));
    run(Command::new("mcs")
        .args(["-unsafe", "-langversion:7.2", "-target:library", "-out:Npad.dll"])
        .arg(format!("-recurse:{binding}")));
    run(Command::new("mcs").args(["-langversion:7.2", "-r:Npad.dll", "-out:program.exe", "program.cs"]));
    let output = run(Command::new("mono").arg("program.exe"));
    assert!(output.starts_with("DEFECTIVE, "), "{output}");
}

#[test]
fn every_package_has_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("bindings/python/pyproject.toml", format!("version = \"{version}\"")),
        ("bindings/csharp/Npad/Npad.csproj", format!("<Version>{version}</Version>")),
        ("CHANGELOG.md", format!("## {version}")),
    ] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
        assert!(text.contains(&line), "{file} lacks '{line}'");
    }
}
