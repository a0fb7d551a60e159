//! A reader of server-sent events over HTTP/1.1, one connection per stream: small, so that a tool opens thousands.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What stands between two empty lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Event {
        id: String,
        name: String,
        data: Value,
    },
    /// Milliseconds.
    Retry(u64),
    Comment(String),
}

impl Told {
    fn parse(block: &str) -> Self {
        let field = |name: &str| {
            let mut values = block.lines().filter_map(|line| line.strip_prefix(name));
            values.next().map(str::trim)
        };
        if let Some(data) = field("data:") {
            return Self::Event {
                id: field("id:").unwrap_or_default().to_owned(),
                name: field("event:").unwrap_or_default().to_owned(),
                data: serde_json::from_str(data)
                    .unwrap_or_else(|error| panic!("no line of JSON ({error}): {block:?}")),
            };
        }
        match (field("retry:"), field(":")) {
            (Some(retry), _) => Self::Retry(retry.parse().expect("milliseconds")),
            (None, Some(comment)) => Self::Comment(comment.to_owned()),
            (None, None) => panic!("nothing of an event stream: {block:?}"),
        }
    }
}

/// An answer that goes on.
#[derive(Debug)]
pub struct Events {
    stream: TcpStream,
    /// Status line and headers.
    pub head: String,
    /// Bytes that came and were not taken: chunks, as they are framed.
    raw: Vec<u8>,
    /// What they carried.
    text: String,
    has_ended: bool,
}

impl Events {
    /// Asks and reads the head of the answer.
    pub async fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::ask(stream, path, headers).await
    }

    /// The same over a connection that is there.
    pub async fn ask(mut stream: TcpStream, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Self> {
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        let mut raw = Vec::with_capacity(1024);
        let end = loop {
            if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut raw).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let rest = raw.split_off(end + 4);
        Ok(Self {
            stream,
            head: String::from_utf8_lossy(&raw).into_owned(),
            raw: rest,
            text: String::new(),
            has_ended: false,
        })
    }

    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {:?}", self.head))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// What comes next, a heartbeat too; `None` where the stream has ended, or its connection.
    pub async fn next(&mut self) -> std::io::Result<Option<Told>> {
        Ok(self.block().await?.map(|block| Told::parse(&block)))
    }

    /// The same as it was sent, whatever is in it.
    pub async fn block(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Ok(Some(block));
            }
            if self.has_ended {
                return Ok(None);
            }
            if !self.unwrap_chunk() && self.stream.read_buf(&mut self.raw).await? == 0 {
                self.has_ended = true;
            }
        }
    }

    /// The next event; `None` at the end.
    pub async fn event(&mut self) -> std::io::Result<Option<(String, Value)>> {
        loop {
            match self.next().await? {
                Some(Told::Event { id, data, .. }) => return Ok(Some((id, data))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Takes one whole chunk, where there is one.
    fn unwrap_chunk(&mut self) -> bool {
        let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let length = std::str::from_utf8(&self.raw[..line]).unwrap_or_default();
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        let end = line + 2 + length;
        if self.raw.len() < end + 2 {
            return false;
        }
        self.text
            .push_str(&String::from_utf8_lossy(&self.raw[line + 2..end]));
        self.raw.drain(..end + 2);
        self.has_ended = length == 0;
        true
    }
}
