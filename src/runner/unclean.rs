//! Whether the last process of a scope came to its end: a word in its lock file stands there as long as it lives. After a
//! crash or a power cut the store is looked through before anything is built on it; that costs a read of all of it, which
//! a process that was merely asleep is spared.

use std::fs::File;
use std::io::{Read, Seek, Write};

const WORD: &[u8] = b"running\n";

pub struct Mark {
    pub was_unclean: bool,
    /// The lock, held until this is dropped.
    lock: File,
}

impl Mark {
    /// `lock` is open for reading and writing.
    pub fn set(mut lock: File) -> Mark {
        let mut before = Vec::new();
        let was_unclean = (&mut lock).take(64).read_to_end(&mut before).is_ok() && before == WORD;
        let mut mark = Mark { was_unclean, lock };
        if !was_unclean {
            // On a full disk there is no room for it: then nobody looks.
            let _ = mark.replace(WORD);
        }
        mark
    }

    /// The end of a process that has left nothing undone.
    pub fn clear(mut self) {
        let _ = self.replace(b"");
    }

    fn replace(&mut self, word: &[u8]) -> std::io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(word)?;
        self.lock.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_was_reached_is_a_clean_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let first = Mark::set(open());
        assert!(!first.was_unclean);
        first.clear();
        let second = Mark::set(open());
        assert!(!second.was_unclean);
        drop(second);
        let third = Mark::set(open());
        assert!(third.was_unclean);
        third.clear();
        assert!(!Mark::set(open()).was_unclean);
    }
}
