//! Encryption by the host's systemd, for one user: `systemd-creds --user` (systemd 256 and later), which asks
//! systemd's own service by way of `io.systemd.Credentials`. The key is the host's, so a copy of the file is of no use
//! elsewhere, or to another user. Values go by standard input and output, never by arguments.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Value;

/// Never looked for on a PATH: it is told secrets.
const PROGRAM: &str = "/usr/bin/systemd-creds";

/// A host under load, and a service that is started for each call.
const DEADLINE: Duration = Duration::from_secs(20);

/// More than the text of an encrypted value of the longest kind.
const MAX_OUTPUT: u64 = 1 << 20;

#[derive(Debug, Clone)]
pub struct Creds {
    program: PathBuf,
}

impl Default for Creds {
    fn default() -> Self {
        Creds { program: PROGRAM.into() }
    }
}

impl Creds {
    #[cfg(test)]
    pub fn of(program: PathBuf) -> Creds {
        Creds { program }
    }

    /// The text to keep, or why this host cannot do it. What was encrypted has been decrypted again once.
    pub fn encrypt(&self, name: &str, value: &Value) -> Result<Vec<u8>, String> {
        let text = self.call("encrypt", name, value.reveal().as_bytes())?;
        match self.decrypt(name, &text)? {
            read if read == value.reveal().as_bytes() => Ok(text),
            _ => Err("what was encrypted is not what was decrypted".into()),
        }
    }

    pub fn decrypt(&self, name: &str, text: &[u8]) -> Result<Vec<u8>, String> {
        self.call("decrypt", name, text)
    }

    fn call(&self, verb: &str, name: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        let mut child = Command::new(&self.program)
            .arg("--user")
            .arg(format!("--name={name}"))
            // Not a byte more than there was, also at a terminal.
            .args(["--newline=no", verb, "-", "-"])
            .env_clear()
            .env("LANG", "C.UTF-8")
            .current_dir(Path::new("/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}`: {error}", self.program.display()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let input = input.to_owned();
        // Threads of their own, as each of the three pipes may fill up, and as the service may never answer.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let reader = |pipe: Option<Box<dyn Read + Send>>| {
            let (send, receive) = mpsc::channel();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(pipe) = pipe {
                    let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
                }
                let _ = send.send(bytes);
            });
            receive
        };
        let words = reader(stderr.map(|pipe| Box::new(pipe) as _));
        let output = reader(stdout.map(|pipe| Box::new(pipe) as _));
        let Ok(output) = output.recv_timeout(DEADLINE) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("`systemd-creds` does not answer within {} s", DEADLINE.as_secs()));
        };
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(output);
        }
        let words = words.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let last = words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing more");
        Err(format!("`systemd-creds {verb}` ended with {status}: {}", crate::plain::one_line(last, 200)))
    }
}
