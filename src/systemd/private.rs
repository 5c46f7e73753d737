//! The manager's private socket, `$XDG_RUNTIME_DIR/systemd/private`: the way to systemd where no bus daemon runs, and the
//! short one where one does.
//!
//! Systemd names itself as the sender of what it writes there, by its well-known name (`sd_bus_set_sender(3)`). A bus
//! puts unique names in that place, and zbus takes nothing else. So the messages are taken apart as far as that, and the
//! field is left out: a message between two peers needs no sender.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// Field code of the sender (D-Bus Specification, "Header Fields").
const SENDER: u8 = 7;
/// Largest message (D-Bus Specification, "Message Format").
const MAX_MESSAGE: usize = 128 << 20;
/// Bytes of a header before its fields, the length of these included.
const FIXED: usize = 16;

#[derive(Debug)]
pub struct Private(pub UnixStream);

impl Socket for Private {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { stream: read, raw: Vec::new(), ready: Vec::new() }, Writer(write))
    }
}

#[derive(Debug)]
pub struct Reader {
    stream: OwnedReadHalf,
    /// As it came, of what is not there as a whole yet.
    raw: Vec<u8>,
    /// What may be handed on.
    ready: Vec<u8>,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        while self.ready.is_empty() {
            self.raw.reserve(64 << 10);
            if self.stream.read_buf(&mut self.raw).await? == 0 {
                return Ok((0, Vec::new()));
            }
            let done = pass_on(&self.raw, &mut self.ready)?;
            self.raw.drain(..done);
        }
        let count = self.ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Ok((count, Vec::new()))
    }
}

#[derive(Debug)]
pub struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(buffer).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Goes through the lines of the handshake and the messages that are there as a whole; says how many bytes these were.
fn pass_on(raw: &[u8], ready: &mut Vec<u8>) -> io::Result<usize> {
    let mut done = 0;
    loop {
        let rest = &raw[done..];
        done += match rest.first() {
            None => return Ok(done),
            // No line of the handshake begins so (D-Bus Specification, "Authentication Protocol").
            Some(b'l' | b'B') => match pass_on_message(rest, ready)? {
                Some(length) => length,
                None => return Ok(done),
            },
            Some(_) => match rest.windows(2).position(|pair| pair == b"\r\n") {
                Some(end) => {
                    ready.extend(&rest[..end + 2]);
                    end + 2
                }
                None => return Ok(done),
            },
        };
    }
}

/// The length of the message at the head, if all of it is there.
fn pass_on_message(raw: &[u8], ready: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let is_little = raw[0] == b'l';
    let number = |at: usize| -> Option<usize> {
        let four: [u8; 4] = raw.get(at..at + 4)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize)
    };
    let (Some(body), Some(fields)) = (number(4), number(FIXED - 4)) else { return Ok(None) };
    let end = FIXED + fields;
    let length = end.next_multiple_of(8) + body;
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the manager announces a message that is too long"));
    }
    let Some(message) = raw.get(..length) else { return Ok(None) };
    // Each field begins at a multiple of 8: its code, a signature of one type, and the value.
    let (mut at, mut before) = (FIXED, FIXED);
    while at < end {
        let after = match raw.get(at + 2) {
            Some(b's' | b'o') => number(at + 4).map(|text| at + 8 + text + 1),
            Some(b'g') => raw.get(at + 4).map(|text| at + 5 + usize::from(*text) + 1),
            Some(b'u') => Some(at + 8),
            _ => None,
        };
        let Some(after) = after.filter(|after| *after <= end) else { break };
        if raw[at] == SENDER {
            let next = after.next_multiple_of(8);
            // After the last field, no padding counts.
            let kept = if next < end { fields - (next - at) } else { before - FIXED } as u32;
            ready.extend(&message[..FIXED - 4]);
            ready.extend(if is_little { kept.to_le_bytes() } else { kept.to_be_bytes() });
            ready.extend(&message[FIXED..at]);
            ready.extend(&message[next..]);
            return Ok(Some(length));
        }
        (at, before) = (after.next_multiple_of(8), after);
    }
    ready.extend(message);
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply as systemd writes it: serial of the call, sender, signature, and a body of one number.
    fn reply(sender: Option<&str>, is_last: bool) -> Vec<u8> {
        let mut parts = vec![vec![5, 1, b'u', 0, 9, 0, 0, 0], vec![8, 1, b'g', 0, 1, b'u', 0]];
        if let Some(sender) = sender {
            let mut field = vec![SENDER, 1, b's', 0];
            field.extend((sender.len() as u32).to_le_bytes());
            field.extend(sender.bytes().chain([0]));
            parts.insert(if is_last { 2 } else { 1 }, field);
        }
        let mut fields = Vec::new();
        for part in parts {
            fields.resize(fields.len().next_multiple_of(8), 0);
            fields.extend(part);
        }
        let mut bytes = vec![b'l', 2, 1, 1];
        for number in [4_u32, 1, fields.len() as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(fields);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(7_u32.to_le_bytes());
        bytes
    }

    const SYSTEMD: Option<&str> = Some("org.freedesktop.systemd1");

    fn passed_on(raw: &[u8]) -> (Vec<u8>, usize) {
        let mut ready = Vec::new();
        let done = pass_on(raw, &mut ready).unwrap();
        (ready, done)
    }

    #[test]
    fn what_is_passed_on_has_no_sender_and_all_else() {
        let line = b"OK 0123\r\nAGREE_UNIX_FD\r\n";
        let streams =
            [[reply(SYSTEMD, false), reply(SYSTEMD, true), reply(None, true), reply(Some(":1.5"), false)].concat()];
        for stream in streams {
            let raw = [line.to_vec(), stream].concat();
            let plain = reply(None, true);
            let expected = [line.to_vec(), plain.clone(), plain.clone(), plain.clone(), plain].concat();
            assert_eq!(passed_on(&raw), (expected, raw.len()));
        }
    }

    #[test]
    fn what_has_not_come_yet_is_waited_for() {
        let mut whole = b"OK 0123\r\n".to_vec();
        let line = whole.len();
        whole.extend(reply(SYSTEMD, false));
        for end in 0..whole.len() {
            assert_eq!(passed_on(&whole[..end]).1, if end < line { 0 } else { line }, "{end}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_do_no_harm() {
        let mut bytes = reply(SYSTEMD, false);
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        pass_on(&bytes, &mut Vec::new()).unwrap_err();
        for at in [FIXED - 4, FIXED + 12] {
            for length in 0..80_u32 {
                let mut bytes = reply(SYSTEMD, false);
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
                let _ = pass_on(&bytes, &mut Vec::new());
            }
        }
    }
}
