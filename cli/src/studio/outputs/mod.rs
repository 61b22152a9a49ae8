//! Where live results go besides the page: a file of JSON lines, an MQTT broker, a web address. A host that does not answer never
//! holds up the inspection.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rumqttc::{AsyncClient, MqttOptions, QoS};
use serde_json::Value;

use super::project::{OWN, Project};
use super::state::lock;
use crate::output::file_error;
use npad::error::{Error, Result, Status};

/// Results that wait for a host; further ones are dropped and counted.
const WAITING: usize = 256;
/// Largest packet of MQTT in bytes. A result has about 120 bytes for each region.
const LARGEST_PACKET: usize = 64 << 20;
/// Time that a host has to take a result.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The file in the project's folder.
const FILE: &str = "live.jsonl";

/// Hosts that receive results.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    mqtt: Option<Broker>,
    post: Option<hyper::Uri>,
}

#[derive(Debug, Clone, PartialEq)]
struct Broker {
    host: String,
    port: u16,
    user: Option<(String, String)>,
    topic: String,
}

impl Broker {
    /// Reads `mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC`.
    fn parse(url: &str) -> Option<Self> {
        let (place, topic) = url.strip_prefix("mqtt://")?.split_once('/')?;
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(user.split_once(':')?), place),
            None => (None, place),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (place, 1883),
        };
        let user = user.map(|(name, password)| (name.to_owned(), password.to_owned()));
        let usable = !host.is_empty() && !topic.is_empty() && !topic.contains(['#', '+']);
        usable.then(|| Self { host: host.to_owned(), port, user, topic: topic.to_owned() })
    }

    /// The name without a password.
    fn name(&self) -> String {
        format!("mqtt://{}:{}/{}", self.host, self.port, self.topic)
    }
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
            let uri =
                url.parse::<hyper::Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
            uri.ok_or_else(|| invalid("--post", "http://HOST[:PORT]/PATH; for https, post to a proxy on this machine"))
        });
        Ok(Self { mqtt: mqtt.transpose()?, post: post.transpose()? })
    }
}

/// Errors by what they concern; only the last one of each is kept.
#[derive(Debug, Default)]
struct Errors(Mutex<Vec<(String, String)>>);

impl Errors {
    fn set(&self, of: &str, error: Option<String>) {
        let mut errors = lock(&self.0);
        errors.retain(|(name, _)| name != of);
        errors.extend(error.map(|error| (of.to_owned(), error)));
    }
}

/// Open outputs.
pub struct Outputs {
    file: Mutex<File>,
    hosts: Vec<(String, SyncSender<String>)>,
    errors: Arc<Errors>,
}

impl Outputs {
    /// Opens the file, and starts a thread for each host.
    ///
    /// # Errors
    /// [`Status::Io`] when the file cannot be opened.
    pub fn open(project: &Project, targets: &Targets) -> Result<Self> {
        let path = project.own(FILE)?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = Mutex::new(file.map_err(|e| file_error("cannot write", &path, &e))?);
        let (errors, mut hosts) = (Arc::<Errors>::default(), Vec::new());
        if let Some(broker) = targets.mqtt.clone() {
            let name = broker.name();
            hosts.push((name.clone(), host(name, &errors, |lines, report| publish(broker, lines, report))?));
        }
        if let Some(uri) = targets.post.clone() {
            let name = uri.to_string();
            hosts.push((name.clone(), host(name, &errors, |lines, report| post(uri, lines, report))?));
        }
        Ok(Self { file, hosts, errors })
    }

    /// Where results go.
    pub fn names(&self) -> Vec<String> {
        let file = format!("{OWN}/{FILE}");
        std::iter::once(file).chain(self.hosts.iter().map(|(name, _)| name.clone())).collect()
    }

    /// What has failed and has not worked since.
    pub fn errors(&self) -> Vec<String> {
        lock(&self.errors.0).iter().map(|(name, error)| format!("{name}: {error}")).collect()
    }

    /// Hands a result to all outputs. It never waits for a host.
    pub fn send(&self, result: &Value) {
        let line = result.to_string();
        // One write, so that a full disk or a crash leaves whole lines but for the last.
        let written = lock(&self.file).write_all(format!("{line}\n").as_bytes());
        self.errors.set(FILE, written.err().map(|e| format!("cannot write: {e}")));
        for (name, sender) in &self.hosts {
            if let Err(TrySendError::Full(_)) = sender.try_send(line.clone()) {
                self.errors.set(name, Some("the host is too slow or does not answer; results were dropped".to_owned()));
            }
        }
    }
}

/// Starts a thread that hands lines to a host with a runtime of its own. It ends once the outputs are dropped.
fn host<F: Future<Output = ()>>(
    name: String,
    errors: &Arc<Errors>,
    run: impl FnOnce(Receiver<String>, Box<dyn Fn(Option<String>) + Send>) -> F + Send + 'static,
) -> Result<SyncSender<String>> {
    let (sender, receiver) = sync_channel(WAITING);
    let errors = errors.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| Error::io("cannot start a thread", &e))?;
    let report = Box::new(move |error| errors.set(&name, error));
    let spawned = std::thread::Builder::new().name("npad-output".to_owned()).spawn(move || {
        runtime.block_on(run(receiver, report));
        runtime.shutdown_background();
    });
    spawned.map_err(|e| Error::io("cannot start a thread", &e))?;
    Ok(sender)
}

type Report = Box<dyn Fn(Option<String>) + Send>;

async fn publish(broker: Broker, lines: Receiver<String>, report: Report) {
    let mut options = MqttOptions::new(format!("npad-studio-{}", std::process::id()), &broker.host, broker.port);
    options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    if let Some((name, password)) = &broker.user {
        options.set_credentials(name, password);
    }
    let (client, mut connection) = AsyncClient::new(options, WAITING);
    tokio::spawn(async move {
        loop {
            match connection.poll().await {
                Ok(_) => report(None),
                Err(error) => {
                    report(Some(format!("the MQTT broker does not take results: {error}")));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    while let Ok(line) = tokio::task::block_in_place(|| lines.recv()) {
        // While there is no connection, results wait in the client, and then in the channel.
        if client.publish(&broker.topic, QoS::AtLeastOnce, false, line).await.is_err() {
            return;
        }
    }
    let _ = tokio::time::timeout(TIMEOUT, client.disconnect()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
}

async fn post(uri: hyper::Uri, lines: Receiver<String>, report: Report) {
    let client: Client<HttpConnector, Full<hyper::body::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    while let Ok(line) = tokio::task::block_in_place(|| lines.recv()) {
        let request =
            hyper::Request::post(uri.clone()).header("content-type", "application/json").body(Full::from(line));
        let Ok(request) = request else { return };
        report(match tokio::time::timeout(TIMEOUT, client.request(request)).await {
            Ok(Ok(response)) if response.status().is_success() => None,
            Ok(Ok(response)) => Some(format!("the host answered {}", response.status())),
            Ok(Err(error)) => Some(format!("cannot post: {error}")),
            Err(_) => Some(format!("no answer within {} s", TIMEOUT.as_secs())),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let targets =
            Targets::new(Some("mqtt://me:s:3@broker:1884/plant/line 3"), Some("http://host:8080/in?x=1")).unwrap();
        let broker = targets.mqtt.unwrap();
        assert_eq!((broker.host.as_str(), broker.port, broker.topic.as_str()), ("broker", 1884, "plant/line 3"));
        assert_eq!(broker.user.as_ref().unwrap().1, "s:3");
        assert!(!broker.name().contains("s:3"), "a password is not shown");
        assert_eq!(Targets::new(Some("mqtt://broker/t"), None).unwrap().mqtt.unwrap().port, 1883);
        for wrong in
            ["broker/t", "mqtt://broker", "mqtt://broker/", "mqtt:///t", "mqtt://broker:x/t", "mqtt://broker/a/#"]
        {
            assert_eq!(Targets::new(Some(wrong), None).unwrap_err().status(), Status::InvalidOption, "{wrong}");
        }
        for wrong in ["host/x", "https://host/", "http://", "ftp://host/"] {
            assert_eq!(Targets::new(None, Some(wrong)).unwrap_err().status(), Status::InvalidOption, "{wrong}");
        }
    }
}
