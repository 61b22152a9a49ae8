//! The command-line tool: `npad fit|merge|score|drift|eval|studio|bench|info|export|key|sign|devices`.

mod bench;
pub mod dataset;
mod devices;
mod drift;
mod eval;
mod export;
mod fit;
mod heatmap;
mod info;
mod jpeg;
mod key;
mod merge;
pub mod metrics;
mod output;
pub mod picture;
mod score;
mod sign;
#[cfg(feature = "studio")]
mod studio;
mod terminal;
mod thumbnail;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use npad::error::{Error, Result, Status};
use npad::model::Options;
use npad::plugin::method::load as load_plugin;

/// Industrial visual anomaly detection: learns from good images only, then finds defects.
#[derive(Parser)]
#[command(name = "npad", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fit a model to a folder of good images
    Fit(fit::Arguments),
    /// Merge the states of fits to the model, or the state, of one fit
    Merge(merge::Arguments),
    /// Score images: verdict, score and defect regions
    Score(score::Arguments),
    /// Tell whether recent scores have drifted from those of the model's good images
    Drift(drift::Arguments),
    /// Evaluate methods on data sets in MVTec AD's layout
    Eval(eval::Arguments),
    /// Teach, look, decide and watch a line on a page in the browser
    #[cfg(feature = "studio")]
    Studio(studio::Arguments),
    /// Measure the speed of a model on this machine
    Bench(bench::Arguments),
    /// Show the metadata of a model or, without one, all options
    Info(info::Arguments),
    /// Write a model as an ONNX network for other programs
    Export(export::Arguments),
    /// Make a key that signs models, or show its public half
    Key(key::Arguments),
    /// Sign a model, so that programs can know who taught it
    Sign(sign::Arguments),
    /// List the devices that networks can run on, and what others lack
    Devices(devices::Arguments),
}

/// Options of commands that fit.
#[derive(Args)]
struct FitOptions {
    /// Size of the network's input: N (the area of an N x N square, with the images' aspect ratio), HxW, or native
    /// [default: 240]
    #[arg(long, value_name = "240|HxW|native")]
    size: Option<String>,
    /// Any option by name; `npad info` lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of the random number generator [default: 0]
    #[arg(long)]
    seed: Option<String>,
    #[command(flatten)]
    run: RunOptions,
}

/// Options of commands that run a backbone.
#[derive(Args)]
struct RunOptions {
    /// Device that the networks run on: cpu, cuda[:N], tensorrt[:N], openvino[:DEVICE], directml[:N] or auto [default: cpu]
    #[arg(long)]
    device: Option<String>,
    /// Folder in which tensorrt and openvino keep what they build
    #[arg(long, value_name = "DIR")]
    device_cache: Option<String>,
    /// What computes scores: auto, kernels, or graph, the whole detector as one network [default: auto]
    #[arg(long)]
    scoring: Option<String>,
    /// Number of worker threads; 0: one per core [default: 0]
    #[arg(long)]
    threads: Option<String>,
    /// Public keys, separated by commas, of which one must have signed the model [default: none, no signature needed]
    #[arg(long, value_name = "KEYS")]
    trusted_keys: Option<String>,
    /// What to do with a model that contains a backbone of its own: allow or refuse [default: allow]
    #[arg(long, value_name = "allow|refuse")]
    foreign_backbones: Option<String>,
    /// Plug-in to load, a shared library with a detection method; may be repeated
    #[arg(long, value_name = "PATH")]
    plugin: Vec<PathBuf>,
}

impl RunOptions {
    /// Loads the plug-ins and returns the options.
    fn options(&self) -> Result<Options> {
        if self.trusted_keys.as_deref().is_some_and(|keys| keys.trim().is_empty()) {
            let message = "--trusted-keys is empty, which would trust any model: give public keys, or leave it out";
            return Err(Error::new(Status::InvalidOption, message));
        }
        self.plugin.iter().try_for_each(|path| load_plugin(path))?;
        let mut options = Options::default();
        set_given(
            &mut options,
            &[
                ("device", &self.device),
                ("device_cache", &self.device_cache),
                ("scoring", &self.scoring),
                ("threads", &self.threads),
                ("trusted_keys", &self.trusted_keys),
                ("foreign_backbones", &self.foreign_backbones),
            ],
        )?;
        Ok(options)
    }
}

impl FitOptions {
    fn options(&self) -> Result<Options> {
        let mut options = self.run.options()?;
        set_given(&mut options, &[("size", &self.size), ("seed", &self.seed)])?;
        set_pairs(&mut options, &self.set)?;
        Ok(options)
    }

    /// The files that are read besides images: plug-ins and the backbone.
    fn files(&self, options: &Options) -> Result<Vec<PathBuf>> {
        let backbone = options.get("backbone")?;
        Ok(self.run.plugin.iter().cloned().chain((!backbone.is_empty()).then(|| backbone.into())).collect())
    }
}

/// Sets options given as KEY=VALUE.
fn set_pairs(options: &mut Options, pairs: &[String]) -> Result<()> {
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            let expected = "expected KEY=VALUE; `npad info` lists the keys";
            Error::new(Status::InvalidOption, format!("--set {pair}: {expected}"))
        })?;
        options.set(key, value)?;
    }
    Ok(())
}

fn set_given(options: &mut Options, given: &[(&str, &Option<String>)]) -> Result<()> {
    given
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .try_for_each(|(key, value)| options.set(key, value))
}

/// Runs the tool on the program's arguments. Exit code 0: done, 1: failed, 2: wrong usage, 3: `npad drift` found drift.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::show_warnings();
    let result = match cli.command {
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Drift(arguments) => return exit_code(drift::run(&arguments)),
        Command::Eval(arguments) => eval::run(&arguments),
        #[cfg(feature = "studio")]
        Command::Studio(arguments) => studio::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
    };
    exit_code(result.map(|()| ExitCode::SUCCESS))
}

fn exit_code(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal::note(&format!("npad: {error}"));
            ExitCode::from(if error.status() == Status::InvalidOption { 2 } else { 1 })
        }
    }
}
