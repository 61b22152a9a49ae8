//! Where live results go besides the page: a file of JSON lines, an MQTT broker, a web address. A host that does not answer never
//! holds up the inspection.

mod lines;
mod mqtt;
mod post;
mod queue;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::lines::Lines;
use self::mqtt::Broker;
use self::queue::Queue;
use super::project::{OWN, Project};
use super::state::lock;
use super::token;
use crate::output::file_error;
use npad::error::{Error, Result, Status};

/// Time that hosts have for what still waits when the studio ends.
const FINISH: Duration = Duration::from_secs(10);
/// The file in the project's folder, and its largest size in bytes.
const FILE: &str = "live.jsonl";
const LARGEST: u64 = 64 << 20;

/// Hosts that receive results.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    mqtt: Option<Broker>,
    post: Option<hyper::Uri>,
}

impl Targets {
    /// Reads the addresses of the command line.
    ///
    /// # Errors
    /// [`Status::InvalidOption`].
    pub fn new(mqtt: Option<&str>, post: Option<&str>) -> Result<Self> {
        let invalid =
            |name: &str, expected: &str| Error::new(Status::InvalidOption, format!("{name}: expected {expected}"));
        let mqtt = mqtt.map(|url| {
            Broker::parse(url)
                .ok_or_else(|| invalid("--mqtt", "mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC, a topic without # and +"))
        });
        let post = post.map(|url| {
            post::parse(url).ok_or_else(|| {
                invalid("--post", "http://HOST[:PORT]/PATH without a user; for https, post to a proxy on this machine")
            })
        });
        Ok(Self { mqtt: mqtt.transpose()?, post: post.transpose()? })
    }
}

/// Open outputs, of all inspections until the studio ends.
pub struct Outputs {
    file: Mutex<(Lines, Option<String>)>,
    hosts: Vec<(String, Arc<Queue>)>,
    sending: Mutex<Option<(Runtime, JoinSet<()>)>>,
}

impl Outputs {
    /// Opens the file, and starts a task for each host.
    ///
    /// # Errors
    /// [`Status::Io`] when the file cannot be opened or the system has no more threads.
    pub fn open(project: &Project, targets: &Targets) -> Result<Self> {
        let path = project.own(FILE)?;
        let file = Lines::open(&path, LARGEST).map_err(|e| file_error("cannot write", &path, &e))?;
        let (mut hosts, mut tasks) = (Vec::new(), JoinSet::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| Error::io("cannot start a thread", &e))?;
        if let Some(broker) = targets.mqtt.clone() {
            let queue = Arc::<Queue>::default();
            hosts.push((broker.name(), queue.clone()));
            tasks.spawn_on(mqtt::publish(broker, format!("npad-{}", token::random()?), queue), runtime.handle());
        }
        if let Some(uri) = targets.post.clone() {
            let queue = Arc::<Queue>::default();
            hosts.push((post::name(&uri), queue.clone()));
            tasks.spawn_on(post::post(uri, queue), runtime.handle());
        }
        Ok(Self { file: Mutex::new((file, None)), hosts, sending: Mutex::new(Some((runtime, tasks))) })
    }

    /// Where results go.
    pub fn names(&self) -> Vec<String> {
        let file = format!("{OWN}/{FILE}");
        std::iter::once(file).chain(self.hosts.iter().map(|(name, _)| name.clone())).collect()
    }

    /// What has failed and has not worked since, and what has been lost.
    pub fn errors(&self) -> Vec<String> {
        let file = lock(&self.file).1.iter().map(|error| format!("{FILE}: {error}")).collect::<Vec<_>>();
        let hosts = self.hosts.iter();
        let hosts = hosts.flat_map(|(name, queue)| queue.errors().into_iter().map(move |e| format!("{name}: {e}")));
        file.into_iter().chain(hosts).collect()
    }

    /// Hands a result to all outputs. It never waits for a host.
    pub fn send(&self, result: &Value) {
        let line: Arc<str> = result.to_string().into();
        {
            let (file, error) = &mut *lock(&self.file);
            *error = file.append(&line).err().map(|e| format!("cannot write: {e}"));
        }
        self.hosts.iter().for_each(|(_, queue)| queue.push(&line));
    }

    /// Ends the outputs: hosts have some seconds for what still waits.
    pub fn finish(&self) {
        let Some((runtime, mut tasks)) = lock(&self.sending).take() else { return };
        self.hosts.iter().for_each(|(_, queue)| queue.close());
        let ended = runtime.block_on(async {
            tokio::time::timeout(FINISH, async { while tasks.join_next().await.is_some() {} }).await
        });
        if ended.is_err() {
            self.hosts.iter().for_each(|(_, queue)| queue.abandon());
        }
        runtime.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let targets =
            Targets::new(Some("mqtt://me:s:3@broker:1884/plant/line 3"), Some("http://host:8080/in?key=1")).unwrap();
        let broker = targets.mqtt.unwrap();
        assert_eq!((broker.host.as_str(), broker.port, broker.topic.as_str()), ("broker", 1884, "plant/line 3"));
        assert_eq!(broker.user.as_ref().unwrap().1, "s:3");
        assert!(!broker.name().contains("s:3"), "a password is not shown");
        assert_eq!(post::name(&targets.post.unwrap()), "http://host:8080/in", "nor is a key");
        assert_eq!(Targets::new(Some("mqtt://broker/t"), None).unwrap().mqtt.unwrap().port, 1883);
        for wrong in [
            "broker/t",
            "mqtt://broker",
            "mqtt://broker/",
            "mqtt:///t",
            "mqtt://broker:x/t",
            "mqtt://broker:0/t",
            "mqtt://broker/a/#",
        ] {
            assert_eq!(Targets::new(Some(wrong), None).unwrap_err().status(), Status::InvalidOption, "{wrong}");
        }
        for wrong in [
            "host/x",
            "https://host/",
            "http://",
            "ftp://host/",
            "http://me:secret@host/",
            "http://host:99999/",
            "http://host:0/",
        ] {
            assert_eq!(Targets::new(None, Some(wrong)).unwrap_err().status(), Status::InvalidOption, "{wrong}");
        }
    }
}
