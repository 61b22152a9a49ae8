//! Parity with the NumPy reference on whole data sets, where they are at hand: image AUROC, pixel AUROC and AUPRO of each
//! level agree within half a point.
//!
//! The data are not ours to redistribute. They are looked for in the folder that NPAD_TEST_DATA names, else in
//! `shared/data` beside the repository.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const TOLERANCE: f64 = 0.5;

/// The reference's settings: its grid, no shrinkage, plain sums, the maximum as the image score.
const REFERENCE: [&str; 10] = [
    "--size=224x224",
    "--eval-size=224x224",
    "--set=grid_step=1",
    "--set=peak_share=0",
    "--set=npad.shrinkage=0",
    "--set=npad.block=1x1",
    "--set=npad.fusion=mean",
    "--set=npad.channels=100",
    "--set=npad.selection=variance",
    "--set=npad.regularisation=0.01",
];

/// Data set, level, then image AUROC, pixel AUROC and AUPRO as the reference printed them.
const EXPECTED: [(&str, &str, [f64; 3]); 12] = [
    ("metal_plate", "pixel", [94.95, 95.84, 80.79]),
    ("metal_plate", "patch", [94.60, 97.74, 89.73]),
    ("metal_plate", "pixel+patch", [95.77, 97.64, 89.19]),
    ("cookie", "pixel", [100.00, 81.46, 38.15]),
    ("cookie", "patch", [100.00, 94.06, 78.15]),
    ("cookie", "pixel+patch", [100.00, 92.37, 72.40]),
    ("magnetic_tile", "pixel", [90.74, 80.53, 76.09]),
    ("magnetic_tile", "patch", [91.09, 82.93, 75.99]),
    ("magnetic_tile", "pixel+patch", [90.94, 81.98, 76.16]),
    ("kolektor_sdd", "pixel", [82.71, 90.13, 50.79]),
    ("kolektor_sdd", "patch", [80.80, 89.42, 47.69]),
    ("kolektor_sdd", "pixel+patch", [81.47, 89.81, 49.16]),
];

fn data() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("NPAD_TEST_DATA").map_or(beside, PathBuf::from)
}

#[test]
fn metrics_agree_with_the_reference() {
    let mut wrong = Vec::new();
    for (set, level, expected) in EXPECTED {
        let folder = data().join(set);
        if !folder.is_dir() {
            println!("skipped: {set} is not at hand ({})", folder.display());
            continue;
        }
        let levels = [format!("--set=npad.levels={level}"), format!("--set=npad.image_levels={level}")];
        let output = Command::new(env!("CARGO_BIN_EXE_npad"))
            .arg("eval")
            .arg(&folder)
            .args(REFERENCE)
            .args(levels)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let results: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (name, expected) in ["image_auroc", "pixel_auroc", "aupro"].into_iter().zip(expected) {
            let got = results[0][name].as_f64().unwrap();
            println!("{set} {level} {name}: {got}, the reference {expected}");
            if (got - expected).abs() > TOLERANCE {
                wrong.push(format!("{set} {level} {name}: {got} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
