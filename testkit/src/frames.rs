//! h2 by hand: frames as a client would write them that means no good.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const INITIAL_WINDOW_SIZE: u16 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Preface and settings, with the window of streams as given.
pub fn hello(window: u32) -> Vec<u8> {
    let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend(window.to_be_bytes());
    [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()
}

pub fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

/// A field that enters no table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        let length = text.len();
        if length < 127 {
            field.push(length as u8);
        } else {
            let mut rest = length - 127;
            field.push(127);
            while rest >= 128 {
                field.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            field.push(rest as u8);
        }
        field.extend(text.as_bytes());
    }
    field
}

/// The head of a request, which may or may not end with it.
pub fn head(stream: u32, flags: u8, method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a"),
    ];
    let fields = pseudo.iter().chain(fields);
    let block: Vec<u8> = fields.flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// What came, frame by frame, until the connection ends or `enough` says so; PINGs and settings are acknowledged.
pub async fn read(stream: &mut TcpStream, mut enough: impl FnMut(&[Frame]) -> bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut head = [0; 9];
    while !enough(&frames) && stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        let read = Frame {
            kind: head[3],
            flags: head[4],
            payload,
        };
        if matches!(read.kind, PING | SETTINGS) && read.flags & ACK == 0 {
            let echoed: &[u8] = if read.kind == PING { &read.payload } else { &[] };
            // The other side may be gone.
            let _ = stream.write_all(&frame(read.kind, ACK, 0, echoed)).await;
        }
        frames.push(read);
    }
    frames
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// How many streams of each kind came: answers that began, and resets.
pub fn outcomes(frames: &[Frame]) -> (usize, usize) {
    let of = |kind| frames.iter().filter(|frame| frame.kind == kind).count();
    (of(HEADERS), of(RST_STREAM))
}
