//! What a process under test writes: followed line by line, and read to its end so that the process never waits for a
//! reader.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Its lines so far, and who waits for more. Clones are the same output.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// Pipes that have not ended.
    open: usize,
}

impl Output {
    /// Follows those of its two outputs that are piped.
    pub fn of(child: &mut Child) -> Self {
        let output = Self::default();
        if let Some(pipe) = child.stdout.take() {
            output.follow(pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            output.follow(pipe);
        }
        output
    }

    /// Follows one more pipe.
    pub fn follow(&self, pipe: impl Read + Send + 'static) {
        self.written().open += 1;
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                output.written().lines.push(line);
                output.0.1.notify_all();
            }
            output.written().open -= 1;
            output.0.1.notify_all();
        });
    }

    /// The first answer to a line that it wrote, or writes in time.
    pub fn find<T>(&self, within: Duration, mut which: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let begun = Instant::now();
        let (mut seen, mut written) = (0, self.written());
        loop {
            if let Some(found) = written.lines[seen..].iter().find_map(|line| which(line)) {
                return Ok(found);
            }
            seen = written.lines.len();
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() || written.open == 0 {
                bail!("it never said so: {:#?}", written.lines);
            }
            let waited = self.0.1.wait_timeout(written, left);
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first line with this text, likewise.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn said(&self, text: &str, within: Duration) -> String {
        let line = self.find(within, |line| line.contains(text).then(|| line.to_owned()));
        line.unwrap_or_else(|error| panic!("{text:?}: {error:#}"))
    }

    /// The addresses that the banner of `rushgate dev` names: of orders, and of the control plane.
    pub fn addresses(&self, within: Duration) -> Result<(String, String)> {
        let named = |name: &str| {
            self.find(within, |line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(name)).then(|| words.next().map(str::to_owned))?
            })
        };
        Ok((named("orders")?, named("control")?))
    }

    pub fn lines(&self) -> Vec<String> {
        self.written().lines.clone()
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
