//! What README shows is what works: its commands are run, its programs compiled and run. The commands that need an
//! installed npad, and the Python program, are run by `tests/install/readme.sh`.
#![cfg(unix)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Gray;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("README.md")).unwrap()
}

/// The contents of README's code blocks in that language.
fn blocks(language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    readme().split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Writes an image as a PGM file without comments, which the programs of README read, whatever the path's ending is.
fn write(path: &Path, image: &Gray) {
    let header = format!("P5\n{} {}\n255\n", image.width, image.height);
    std::fs::write(path, [header.as_bytes(), &image.pixels].concat()).unwrap();
}

/// A folder with the files that README names: twenty good images, the same on two days, and a defective one under two names.
fn images() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ["good", "monday", "tuesday"].iter().for_each(|name| std::fs::create_dir(folder.path().join(name)).unwrap());
    for seed in 0..20 {
        for day in ["good", if seed < 12 { "monday" } else { "tuesday" }] {
            write(&folder.path().join(format!("{day}/{seed:02}.pgm")), &Gray::good(160, 120, seed));
        }
    }
    for name in ["image.png", "image.pgm"] {
        write(&folder.path().join(name), &Gray::scratched(160, 120, 40, (40, 40)));
    }
    folder
}

/// The only program in that language, written to the folder.
fn program(language: &str, name: &str, folder: &Path) -> PathBuf {
    let programs = blocks(language);
    let [source] = &programs[..] else { panic!("{} programs in {language}", programs.len()) };
    let path = folder.join(name);
    std::fs::write(&path, source).unwrap();
    path
}

#[test]
fn the_commands_run() {
    let folder = images();
    let set = folder.path().join("dataset");
    for (kind, count) in [("train/good", 5), ("test/good", 2), ("test/scratched", 2)] {
        std::fs::create_dir_all(set.join(kind)).unwrap();
        for seed in 0..count {
            let image = match kind {
                "test/scratched" => Gray::scratched(90, 90, seed + 40, (40, 40)),
                "test/good" => Gray::good(90, 90, seed + 20),
                _ => Gray::good(90, 90, seed),
            };
            write(&set.join(kind).join(format!("{seed}.pgm")), &image);
        }
    }
    write(&folder.path().join("mask.png"), &Gray { width: 160, height: 120, pixels: vec![255; 160 * 120] });
    let tool = Path::new(env!("CARGO_BIN_EXE_npad")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let scripts: Vec<String> = blocks("sh").into_iter().filter(|block| block.contains("npad fit")).collect();
    assert_eq!(scripts.len(), 1);
    let mut shell = Command::new("sh");
    let output = shell.args(["-e", "-c", &scripts[0]]).env("PATH", path).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["maps/image.png", "report.html"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

/// The lines of the shown card, up to the dots, have the names of those of a real one.
#[test]
fn the_card_has_the_lines_that_are_shown() {
    let folder = images();
    let tool = |arguments: &[&str]| {
        common::c::text(
            &common::c::command(Path::new(env!("CARGO_BIN_EXE_npad")), folder.path()).args(arguments).output().unwrap(),
        )
    };
    tool(&["fit", "good", "-o", "part.npad"]);
    let names = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.get(..NAMES).unwrap_or(line).trim_end().to_owned()).collect()
    };
    const NAMES: usize = 32;
    let shown = blocks("text").into_iter().find(|block| block.starts_with("Good images")).unwrap();
    let shown = names(shown.strip_suffix("  ...\n").unwrap());
    let card = names(&tool(&["info", "part.npad", "--card"]));
    assert!(shown.len() > 12 && card.starts_with(&shown), "{shown:#?} {card:#?}");
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
    for line in ["find_package(npad REQUIRED)", "target_link_libraries(app npad::npad)"] {
        assert!(project.contains(line) && readme().contains(&format!("`{line}`")), "{line}");
    }
}

#[test]
fn the_c_program_compiles_and_runs() {
    let folder = images();
    let program = common::c::compile(&program("c", "program.c", folder.path()), folder.path(), &[]);
    let good = (0..20).map(|seed| format!("good/{seed:02}.pgm"));
    let run = common::c::command(&program, folder.path()).args(good).arg("image.pgm").output().unwrap();
    let output = common::c::text(&run);
    assert!(output.starts_with("DEFECTIVE, "), "{output}");
}

#[test]
fn the_cpp_program_compiles_and_runs() {
    let folder = images();
    let flags = ["-isystem/usr/include/opencv4", "-lopencv_core", "-lopencv_imgcodecs"];
    let program = common::c::compile(&program("cpp", "program.cpp", folder.path()), folder.path(), &flags);
    let output = common::c::text(&common::c::command(&program, folder.path()).output().unwrap());
    assert!(output.starts_with("DEFECTIVE, "), "{output}");
    assert!(folder.path().join("overlay.png").is_file());
}

#[test]
fn the_csharp_program_compiles_and_runs() {
    let folder = images();
    program("csharp", "program.cs", folder.path());
    let run = |command: &mut Command| {
        common::c::text(
            &command.current_dir(folder.path()).env("LD_LIBRARY_PATH", common::c::library_folder()).output().unwrap(),
        )
    };
    let binding = format!("{}/../bindings/csharp/Npad/*.cs", env!("CARGO_MANIFEST_DIR"));
    run(Command::new("mcs")
        .args(["-unsafe", "-langversion:7.2", "-target:library", "-out:NpadNet.dll"])
        .arg(format!("-recurse:{binding}")));
    run(Command::new("mcs").args(["-langversion:7.2", "-r:NpadNet.dll", "-out:program.exe", "program.cs"]));
    let output = run(Command::new("mono").arg("program.exe"));
    assert!(output.starts_with("DEFECTIVE, "), "{output}");
}

/// The Python program needs packages that a build need not have, so tests/install/readme.sh runs it, with all commands
/// between the programs. This test keeps that script from missing one.
#[test]
fn every_program_has_a_command() {
    let commands = blocks("sh").concat();
    for name in ["program.c ", "program.cpp ", "program.cs", "program.py"] {
        assert!(commands.contains(name), "{name}");
    }
    assert_eq!(blocks("python").len(), 1);
}

#[test]
fn every_package_has_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("bindings/python/pyproject.toml", format!("version = \"{version}\"")),
        ("bindings/csharp/Npad/Npad.csproj", format!("<Version>{version}</Version>")),
        ("packaging/vcpkg/npad/vcpkg.json", format!("\"version-semver\": \"{version}\"")),
        ("CHANGELOG.md", format!("## {version}")),
    ] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
        assert!(text.contains(&line), "{file} lacks '{line}'");
    }
}
