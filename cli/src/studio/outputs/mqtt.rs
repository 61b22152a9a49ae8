//! Results to a topic of an MQTT broker, each at least once: one is sent until the broker has acknowledged it.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{sleep, timeout};

use super::queue::Queue;

/// Largest packet in bytes. A result has about 120 bytes for each region.
const LARGEST_PACKET: usize = 64 << 20;
const RECONNECT: Duration = Duration::from_secs(1);
/// Time that the broker has for a farewell.
const FAREWELL: Duration = Duration::from_millis(200);

/// A broker and a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    pub user: Option<(String, String)>,
    pub topic: String,
}

impl Broker {
    /// Reads `mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC`.
    pub fn parse(url: &str) -> Option<Self> {
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
        let usable = !host.is_empty() && port > 0 && !topic.is_empty() && !topic.contains(['#', '+']);
        usable.then(|| Self { host: host.to_owned(), port, user, topic: topic.to_owned() })
    }

    /// The name without a password.
    pub fn name(&self) -> String {
        format!("mqtt://{}:{}/{}", self.host, self.port, self.topic)
    }
}

enum News {
    Connected,
    Sent(u16),
    Acknowledged(u16),
    Lost(String),
}

/// Publishes results until the queue is closed and empty. `client` is a name that no other client of the broker has.
pub async fn publish(broker: Broker, client: String, queue: Arc<Queue>) {
    let mut options = MqttOptions::new(client, &broker.host, broker.port);
    options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    if let Some((name, password)) = &broker.user {
        options.set_credentials(name, password);
    }
    let (client, mut connection) = AsyncClient::new(options, 8);
    let (sender, mut news) = unbounded_channel();
    let polling = tokio::spawn(async move {
        loop {
            let event = match connection.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => News::Connected,
                Ok(Event::Outgoing(Outgoing::Publish(id))) => News::Sent(id),
                Ok(Event::Incoming(Packet::PubAck(acknowledged))) => News::Acknowledged(acknowledged.pkid),
                Ok(_) => continue,
                Err(error) => News::Lost(format!("the MQTT broker does not take results: {error}")),
            };
            let lost = matches!(event, News::Lost(_));
            if sender.send(event).is_err() {
                return;
            }
            if lost {
                sleep(RECONNECT).await;
            }
        }
    });
    let send = async |line: &str| client.publish(&broker.topic, QoS::AtLeastOnce, false, line).await.is_ok();
    let mut connected = false;
    // Copies of a result that were asked for and have not been sent yet, which may follow its acknowledgement.
    let mut copies = 0usize;
    'results: loop {
        let line = tokio::select! {
            line = queue.first() => line,
            Some(event) = news.recv() => {
                connected = follow(&event, connected, &queue);
                if matches!(event, News::Connected) {
                    copies = 0;
                }
                continue;
            }
        };
        let Some(line) = line else { break };
        // A broker that has restarted does not know what it was sent, so this one is sent again.
        let mut sent = Vec::new();
        if connected {
            copies += 1;
            if !send(&line).await {
                break;
            }
        }
        loop {
            let Some(event) = news.recv().await else { break 'results };
            connected = follow(&event, connected, &queue);
            match event {
                News::Connected => {
                    // Numbers begin anew, and nothing is left of what was asked for before.
                    sent.clear();
                    copies = 1;
                    if !send(&line).await {
                        break 'results;
                    }
                }
                News::Sent(id) => {
                    // Of this result, where no copies of the one before are left.
                    copies = copies.saturating_sub(1);
                    if copies == 0 {
                        sent.push(id);
                    }
                }
                News::Acknowledged(id) if sent.contains(&id) => {
                    queue.taken();
                    break;
                }
                _ => {}
            }
        }
    }
    let _ = timeout(FAREWELL, client.disconnect()).await;
    sleep(FAREWELL).await;
    polling.abort();
}

/// Whether there is a connection after an event.
fn follow(event: &News, connected: bool, queue: &Queue) -> bool {
    match event {
        News::Connected => {
            queue.waits(None);
            true
        }
        News::Lost(why) => {
            queue.waits(Some(why.clone()));
            false
        }
        _ => connected,
    }
}
