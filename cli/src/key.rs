//! `npad key`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::terminal::print_line;
use npad::error::{Error, Result, Status};
use npad::model::{KEY_BYTES, SecretKey};

#[derive(Args)]
pub struct Arguments {
    /// File of the secret key. Whoever can read it can sign models
    file: PathBuf,
    /// Make a new key and write it to the file, which must not exist
    #[arg(long)]
    new: bool,
}

/// Prints the public half.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { file, new } = arguments;
    let key = if *new { make(file)? } else { read(file)? };
    print_line(&key.public().to_string())
}

/// Reads the file of a secret key.
pub fn read(file: &Path) -> Result<SecretKey> {
    let failed = |e: std::io::Error| Error::io(format_args!("cannot read the key {}", file.display()), &e);
    let text = std::fs::read_to_string(file).map_err(failed)?;
    text.parse().map_err(|e: Error| e.context(file.display()))
}

fn make(file: &Path) -> Result<SecretKey> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(Status::Io, format!("the system gave no random bytes for a key: {e}")))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let failed = |e: std::io::Error| Error::io(format_args!("cannot write a new key to {}", file.display()), &e);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable by its owner alone, and whole before it has its name: half a key is of no use to anybody.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut name = tempfile::Builder::new();
    name.prefix(".npad-").suffix(".tmp");
    let mut written = name.make_in(folder, |path| options.open(path)).map_err(failed)?;
    written.write_all(format!("{text}\n").as_bytes()).and_then(|()| written.as_file().sync_all()).map_err(failed)?;
    written.persist_noclobber(file).map_err(|e| failed(e.error))?;
    Ok(SecretKey::new(&bytes))
}
