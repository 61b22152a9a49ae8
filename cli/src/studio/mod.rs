//! `npad studio`: a page on this machine to teach a part, to look at what is found, to decide, and to watch a line.
//!
//! Data flows one way: a [`project`] has [`versions`] of its model and [`marks`] of its operator; [`jobs`] such as [`teach`] make
//! versions and their [`scores`]; [`live`] inspects what arrives and hands it to [`outputs`]; [`server`] is all that speaks HTTP.

mod camera;
mod jobs;
mod live;
mod marks;
mod outputs;
mod pictures;
mod project;
mod recent;
mod report;
mod scores;
mod server;
mod state;
mod teach;
mod token;
mod upload;
mod versions;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::RunOptions;
use crate::terminal::note;
use npad::error::{Error, Result, Status};
use outputs::Targets;
use server::access::Access;
use state::Studio;

#[derive(Args)]
pub struct Arguments {
    /// Folder of the project, with folders of images. The studio writes to its subfolder npad-studio, and what is uploaded or taken by
    /// a camera to good and inspect
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Address to listen on. Any but that of this machine alone needs the token that is printed
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Port to listen on; 0: any that is free
    #[arg(long, default_value_t = 7690)]
    port: u16,
    /// Also publish each live result to a topic of an MQTT broker: mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC
    #[arg(long, value_name = "URL", env = "NPAD_STUDIO_MQTT", hide_env_values = true)]
    mqtt: Option<String>,
    /// Also post each live result to a web address: http://HOST[:PORT]/PATH
    #[arg(long, value_name = "URL", env = "NPAD_STUDIO_POST", hide_env_values = true)]
    post: Option<String>,
    #[command(flatten)]
    run: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { folder, address, port, mqtt, post, run } = arguments;
    if run.trusted_keys.is_some() {
        let message = "npad studio makes models that nobody has signed, and so could not use them: leave --trusted-keys out, and sign \
                       the model that is downloaded with npad sign";
        return Err(Error::new(Status::InvalidOption, message));
    }
    // A variable that is empty is none.
    let given = |url: &'_ Option<String>| url.clone().filter(|url| !url.is_empty());
    let targets = Targets::new(given(mqtt).as_deref(), given(post).as_deref())?;
    let studio = Studio::open(folder, run.options()?, targets)?;
    let instance = studio.instance.clone();
    server::serve(studio, SocketAddr::new(*address, *port), |bound| {
        let access = Access::new(bound, &instance)?;
        note(&format!("npad studio: {}", access.url()));
        if address.is_unspecified() {
            note("On another machine, put the name of this one in place of localhost.");
        }
        note("Ctrl+C ends it.");
        Ok(access)
    })
}
