//! Between the log and the journal: an event with a secret in it is not written; what it said without the secret is.
//! Nothing should ever log one, so this is the last net, like the redactor that it asks.

use std::fmt::{self, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::Memory;

/// Stands before the layers that write.
pub struct Net {
    memory: Arc<Memory>,
    /// An event cannot be made while another is handled, so a thread of its own makes it.
    instead: std::sync::mpsc::Sender<(Level, String)>,
}

impl Net {
    pub fn new(memory: Arc<Memory>) -> Net {
        let (instead, received) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for (level, text) in received {
                match level {
                    Level::ERROR => tracing::error!("{text}"),
                    Level::WARN => tracing::warn!("{text}"),
                    Level::INFO => tracing::info!("{text}"),
                    _ => tracing::debug!("{text}"),
                }
            }
        });
        Net { memory, instead }
    }
}

impl<S: Subscriber> Layer<S> for Net {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let mut said = Said::default();
        event.record(&mut said);
        let redactor = self.memory.redactor();
        if !redactor.finds(&said.0) {
            return true;
        }
        // Where the thread is gone the process ends.
        let _ = self.instead.send((*event.metadata().level(), redactor.text(&said.0)));
        false
    }
}

/// All that an event says, the message first among its fields.
#[derive(Default)]
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::secret::{Value, Vault};

    /// Two processes' worth of a log: what the layer below is given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<String>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut said = Said::default();
            event.record(&mut said);
            self.0.lock().unwrap().push_str(&said.0);
        }
    }

    #[test]
    fn a_secret_does_not_get_into_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::default());
        let vault = Vault::new(dir.path().join("c"), dir.path().join("e"), memory.clone());
        vault.store("x", &Value::new("canary-4711"), true).unwrap();
        vault.redactor();
        let (sent, received) = std::sync::mpsc::channel();
        let (kept, net) = (Kept::default(), Net { memory, instead: sent });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(net).with(kept.clone()), || {
            tracing::info!("all is well");
            tracing::warn!(CICD_JOB = "1", "GitHub said canary-4711");
            tracing::warn!(header = "Y2FuYXJ5LTQ3MTE=", "GitHub said something");
        });
        assert_eq!(kept.0.lock().unwrap().trim(), "all is well");
        let instead: Vec<(Level, String)> = received.try_iter().collect();
        assert_eq!(instead.len(), 2);
        assert_eq!(instead[0].0, Level::WARN);
        assert!(instead[0].1.contains("GitHub said [redacted x]"), "{instead:?}");
        assert!(instead[1].1.contains("[redacted x]"), "{instead:?}");
    }
}
