//! Values made of bytes: what a fuzzer turns over is what the value changes in. Nothing is left when the bytes
//! are; then every value is its smallest.

/// Texts that were written to be misread.
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "ann",
    "no",
    "vip",
    "user",
    "gold",
    "]]",
    "x]]..redis.call('FLUSHALL')--",
    "\"",
    "'",
    "\\",
    "\n",
    "\0",
    "{x}:",
    "Europe/Berlin",
    "Asia/Kolkata",
    "../../etc/passwd",
    "ü",
    "sold-out",
    "rule/orders",
    "--[[",
    "%s",
    "1e400",
];
const NUMBERS: &[i64] = &[
    0,
    1,
    2,
    -1,
    7,
    1000,
    60_000,
    86_400_000,
    1 << 40,
    (1 << 53) - 1,
    1 << 53,
    -(1 << 53),
    i64::MAX,
    i64::MIN,
    i32::MAX as i64,
];

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// Usually a small number or one at an edge, sometimes any.
    pub fn number(&mut self) -> i64 {
        match self.byte() {
            pick @ 0..192 => NUMBERS[usize::from(pick) % NUMBERS.len()],
            192..224 => i64::from(self.byte()),
            _ => i64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// An index: nearly always below `count`.
    pub fn index(&mut self, count: usize) -> u32 {
        match self.byte() {
            255 => u32::MAX,
            254 => count as u32,
            pick => (usize::from(pick) % count.max(1)) as u32,
        }
    }

    pub fn text(&mut self) -> String {
        match self.byte() {
            pick @ 0..240 => TEXTS[usize::from(pick) % TEXTS.len()].to_owned(),
            _ => {
                let length = usize::from(self.byte());
                let bytes: Vec<u8> = (0..length.min(self.0.len())).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// Up to `most` of something.
    pub fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| one(self)).collect()
    }

    /// All that is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}
