//! The page of `npad eval --report`: complete in itself, and readable in a browser, also on a phone.
#![cfg(unix)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;

use common::Gray;

/// A data set with a defect that is easy to see and one that cannot be seen, so that something is missed.
fn write_data_set(root: &Path) {
    let write = |path: String, image: &Gray| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, image.pgm()).unwrap();
    };
    for seed in 0..14 {
        write(format!("train/good/{seed:02}.pgm"), &Gray::good(160, 120, seed));
    }
    for seed in 0..4 {
        write(format!("test/good/{seed}.pgm"), &Gray::good(160, 120, 50 + seed));
        for (kind, defect) in [
            ("scratch", Gray::scratched(160, 120, 60 + seed, (60, 50))),
            ("a <b> & c", Gray::good(160, 120, 70 + seed)),
        ] {
            write(format!("test/{kind}/{seed}.pgm"), &defect);
            let pixels = (0..160 * 120)
                .map(|i| if (60..80).contains(&(i % 160)) && (50..65).contains(&(i / 160)) { 255 } else { 0 });
            let mask = Gray { width: 160, height: 120, pixels: pixels.collect() };
            write(format!("ground_truth/{kind}/{seed}_mask.png"), &mask);
        }
    }
}

/// Opens the page in a frame so many pixels wide and tells what a script sees of it.
fn look(page: &Path, width: usize) -> String {
    let watcher = page.with_file_name("watcher.html");
    let name = page.file_name().unwrap().to_str().unwrap();
    let script = format!(
        "<!doctype html><body><iframe id=f src=\"{name}\" width={width} height=900></iframe><pre id=seen></pre><script>\
         f.onload = () => {{ const d = f.contentDocument, images = [...d.images]; seen.textContent = JSON.stringify({{\
         overflow: d.documentElement.scrollWidth > {width}, images: images.length, \
         broken: images.filter(i => !i.naturalWidth).length, charts: d.querySelectorAll('svg .curve, svg .threshold').length, \
         text: d.body.innerText.slice(0, 4000) }}); }}</script></body>"
    );
    std::fs::write(&watcher, script).unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--virtual-time-budget=5000",
        ])
        .arg(format!("--user-data-dir={}", page.with_file_name("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", watcher.display()))
        .output()
        .expect("chromium");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = dom.split("<pre id=\"seen\">").nth(1).unwrap_or_else(|| panic!("{dom}"));
    seen.split("</pre>").next().unwrap().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn the_report_is_one_readable_page() {
    let folder = tempfile::tempdir().unwrap();
    write_data_set(&folder.path().join("parts"));
    let page = folder.path().join("report.html");
    let output = Command::new(env!("CARGO_BIN_EXE_npad"))
        .arg("eval")
        .arg(folder.path().join("parts"))
        .args(["--method", "npad,padim", "--size", "96", "--seeds", "2", "--defects", "2,3", "--report"])
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&page).unwrap();
    for outside in ["http:", "https:", "src=\"/", "<script", "<link", "@import", "url("] {
        assert!(!text.contains(outside), "the page needs nothing from outside: {outside}");
    }
    assert!(text.contains("a &lt;b&gt; &amp; c") && !text.contains("<b> & c"), "names are escaped");
    for width in [390, 1100] {
        let seen: serde_json::Value = serde_json::from_str(&look(&page, width)).unwrap();
        assert_eq!((&seen["overflow"], &seen["broken"]), (&false.into(), &0.into()), "{width}: {seen}");
        // Per method, of the first seed: 4 missed, 4 found, 4 good ones, two pictures each; a ROC curve and a threshold.
        assert_eq!((&seen["images"], &seen["charts"]), (&48.into(), &4.into()), "{seen}");
        let words = seen["text"].as_str().unwrap();
        let (missed, found) = (words.find("Missed"), words.find("Found"));
        assert!(missed.is_some() && missed < found, "what went wrong comes first: {words}");
        assert!(words.contains("of 2 fits") && words.contains(" ± ") && words.contains("misses at 1 %"), "{words}");
        assert!(words.contains("image AUROC") && words.contains("parts") && words.contains("padim"), "{words}");
    }
}
