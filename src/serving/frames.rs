//! The frames of one direction of an h2 connection, followed by their heads: what the HTTP library does with them by itself
//! (heads it refuses, PINGs, settings, resets) is work that no request shows. Pure.

/// Bytes of a frame's head: length, kind, flags, stream.
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A frame of a body that is shorter, and not its last, is worth no more than a PING.
const DATA_MIN: usize = 64;
/// Of a GOAWAY: the last stream, and the reason.
const GOODBYE: usize = 8;
/// Reason of a GOAWAY: the peer asks too much for nothing.
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the next frame's head that came.
    have: usize,
    /// Bytes of a frame's payload, or of the preface, that are still to come.
    left: usize,
    goodbye: Vec<u8>,
    /// The head of a request is being put together.
    opening: bool,
    /// The highest stream that was opened.
    pub last_stream: u32,
    /// Heads of requests that came whole.
    pub heads: u64,
    /// Requests that were given up.
    pub resets: u64,
    /// Frames that neither open or end a request nor bring a part of its body worth speaking of.
    pub others: u64,
    /// The reason of the last GOAWAY.
    pub reason: Option<u32>,
}

impl Frames {
    /// Behind so many bytes that are no frames.
    pub(super) fn after(preface: usize) -> Self {
        Self {
            left: preface,
            ..Self::default()
        }
    }

    /// Whether everything up to here is whole frames.
    pub(super) fn between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a request has begun to arrive, and its head has not ended.
    pub(super) fn in_head(&self) -> bool {
        self.opening
    }

    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
                if self.head[3] == GOAWAY && self.goodbye.len() < GOODBYE {
                    self.goodbye.extend(now.iter().take(GOODBYE));
                }
                self.left -= now.len();
                bytes = rest;
                if self.left == 0 {
                    self.ended();
                }
                continue;
            }
            let (now, rest) = bytes.split_at((HEAD - self.have).min(bytes.len()));
            self.head[self.have..self.have + now.len()].copy_from_slice(now);
            self.have += now.len();
            bytes = rest;
            if self.have == HEAD {
                self.have = 0;
                self.begun();
                if self.left == 0 {
                    self.ended();
                }
            }
        }
    }

    fn begun(&mut self) {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        match kind {
            HEADERS if stream > self.last_stream => {
                self.last_stream = stream;
                self.opening = true;
            }
            CONTINUATION if self.opening => {}
            RST_STREAM => self.resets += 1,
            DATA if self.left >= DATA_MIN || flags & END_STREAM != 0 => {}
            _ => self.others += 1,
        }
        self.goodbye.clear();
    }

    fn ended(&mut self) {
        let (kind, flags) = (self.head[3], self.head[4]);
        match kind {
            HEADERS | CONTINUATION if self.opening && flags & END_HEADERS != 0 => {
                self.opening = false;
                self.heads += 1;
            }
            GOAWAY => {
                let reason = self
                    .goodbye
                    .get(4..GOODBYE)
                    .and_then(|bytes| bytes.try_into().ok());
                self.reason = reason.map(u32::from_be_bytes);
            }
            _ => {}
        }
    }
}

/// A GOAWAY frame.
pub(super) fn goaway(last_stream: u32, reason: u32) -> [u8; HEAD + GOODBYE] {
    let mut frame = [0; HEAD + GOODBYE];
    frame[2] = GOODBYE as u8;
    frame[3] = GOAWAY;
    frame[HEAD..HEAD + 4].copy_from_slice(&last_stream.to_be_bytes());
    frame[HEAD + 4..].copy_from_slice(&reason.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let mut frame = (length as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.resize(frame.len() + length, 0);
        frame
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let bytes = [
            vec![b'P'; 24],
            frame(4, 0, 0, 6),
            frame(HEADERS, END_HEADERS, 1, 30),
            frame(DATA, 0, 1, 100),
            frame(DATA, 0, 1, 0),
            frame(DATA, 0, 1, 1),
            frame(DATA, END_STREAM, 1, 1),
            frame(HEADERS, END_STREAM, 3, 10),
            frame(CONTINUATION, 0, 3, 0),
            frame(CONTINUATION, END_HEADERS, 3, 5),
            // Trailers open nothing.
            frame(HEADERS, END_HEADERS | END_STREAM, 1, 3),
            frame(PING, 0, 0, 8),
            frame(RST_STREAM, 0, 3, 4),
            frame(HEADERS, 0, 5, 7),
        ]
        .concat();
        for size in [1, 2, 8, 9, 10, 33, bytes.len()] {
            let mut frames = Frames::after(24);
            for part in bytes.chunks(size) {
                frames.follow(part);
            }
            let seen = (frames.heads, frames.resets, frames.others, frames.last_stream);
            assert_eq!(seen, (2, 1, 5, 5), "in pieces of {size}");
            assert!(frames.between() && frames.in_head());
            frames.follow(&frame(CONTINUATION, END_HEADERS, 5, 4)[..12]);
            assert!(!frames.between() && frames.in_head());
        }
    }

    #[test]
    fn a_goodbye_and_its_reason_are_known() {
        for size in [1, 5, 17] {
            let mut frames = Frames::default();
            for part in goaway(7, ENHANCE_YOUR_CALM).chunks(size) {
                frames.follow(part);
            }
            assert_eq!(frames.reason, Some(ENHANCE_YOUR_CALM));
            assert!(frames.between());
        }
    }
}
