//! Keys, signed models, and what trusts them.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Gray, fit, good_images, options};

fn npad(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_npad"));
    command.current_dir(folder).args(arguments.split(' ')).output().unwrap()
}

/// What a run that works prints.
fn works(folder: &Path, arguments: &str) -> String {
    let output = npad(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The message of a run that fails.
fn fails(folder: &Path, arguments: &str, code: i32) -> String {
    let output = npad(folder, arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
    message
}

#[test]
fn a_signed_model_is_scored_with_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fit(&options(&[]), &good_images(8)).unwrap().save(&folder.join("model.npad")).unwrap();
    std::fs::write(folder.join("part.pgm"), Gray::good(160, 120, 50).pgm()).unwrap();
    let key = works(folder, "key secret.key --new");
    assert_eq!(works(folder, "key secret.key"), key);
    assert_ne!(works(folder, "key other.key --new"), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(folder.join("secret.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(folder.join("model.npad")).unwrap();
    let trusting = format!("score model.npad part.pgm --trusted-keys {key}");
    assert!(fails(folder, &trusting, 1).contains("not signed"));
    works(folder, "sign model.npad --key other.key");
    assert!(fails(folder, &trusting, 1).contains("signed with the key"));
    // Another key takes the place of the first one, and -o leaves the model alone.
    works(folder, "sign model.npad --key secret.key -o signed.npad");
    assert!(fails(folder, &trusting, 1).contains("signed with the key"));
    works(folder, &trusting.replace("model.npad", "signed.npad"));
    assert!(works(folder, "info signed.npad").contains(&format!("\"signed_by\": \"{key}\"")));
    let score = |model: &str| works(folder, &format!("score {model} part.pgm --json"))[..40].to_owned();
    assert_eq!(score("model.npad"), score("signed.npad"));
    std::fs::write(folder.join("model.npad"), before).unwrap();
    assert_eq!(score("model.npad"), score("signed.npad"));
}

#[test]
fn keys_and_models_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    works(folder, "key secret.key --new");
    let secret = std::fs::read(folder.join("secret.key")).unwrap();
    assert!(fails(folder, "key secret.key --new", 1).contains("secret.key"));
    std::fs::write(folder.join("model.npad"), "no model").unwrap();
    assert!(fails(folder, "sign model.npad --key secret.key", 1).contains("not an intact npad model"));
    fails(folder, "sign model.npad --key secret.key -o secret.key", 2);
    let message = fails(folder, "sign model.npad --key model.npad -o new.npad", 1);
    assert!(message.contains("no secret key") && !message.contains("no model"), "{message}");
    assert!(fails(folder, "key none.key", 1).contains("none.key"));
    assert!(fails(folder, "score model.npad x --trusted-keys abc", 2).contains("'abc' is no public key"));
    assert_eq!(std::fs::read(folder.join("secret.key")).unwrap(), secret);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2);
}
