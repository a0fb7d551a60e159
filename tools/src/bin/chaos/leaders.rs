//! Moves the leaders of partitions as an operator's tools do, by two requests of Kafka's protocol that rdkafka does not
//! offer: the replicas' order is changed (AlterPartitionReassignments), then the first of each is elected
//! (ElectLeaders). Nothing dies, connections stay: who sends to the old leader is answered that it is none any more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
const ELECT_LEADERS: i16 = 43;
const CORRELATION: i32 = 1;
const TIMEOUT_MS: i32 = 10_000;
/// A preferred election, of all partitions.
const PREFERRED: u8 = 0;
const ALL: i32 = -1;
/// An answer that is longer is none.
const ANSWER_MAX: usize = 1 << 20;

/// A topic with the replicas of its partitions, the preferred leader first.
pub type Placed = (String, Vec<(i32, Vec<i32>)>);

/// Lets every partition's second replica lead it. Blocks.
pub fn rotate(broker: &str, topics: &[Placed]) -> Result<()> {
    let stream = TcpStream::connect(broker).with_context(|| broker.to_owned())?;
    stream.set_read_timeout(Some(Duration::from_millis(2 * TIMEOUT_MS as u64)))?;
    let answer = ask(&stream, &reassign(topics))?;
    // Correlation, no tags, throttle time, then the error.
    refused("AlterPartitionReassignments", &answer, 9)?;
    let answer = ask(&stream, &elect())?;
    refused("ElectLeaders", &answer, 8)
}

fn refused(what: &str, answer: &[u8], at: usize) -> Result<()> {
    match answer.get(at..at + 2) {
        Some([0, 0]) => Ok(()),
        Some(code) => bail!("{what}: error {}", i16::from_be_bytes([code[0], code[1]])),
        None => bail!("{what}: an answer of {} bytes", answer.len()),
    }
}

fn ask(mut stream: &TcpStream, request: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(&(request.len() as u32).to_be_bytes())?;
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ANSWER_MAX {
        bail!("an answer of {length} bytes");
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Key, version, correlation, client id.
fn head(key: i16, version: i16) -> Vec<u8> {
    let client = b"chaos";
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend((client.len() as i16).to_be_bytes());
    request.extend(client);
    request
}

/// Version 0, which is flexible: lengths are one more than they are, and everything ends with its tags.
fn reassign(topics: &[Placed]) -> Vec<u8> {
    let mut request = head(ALTER_PARTITION_REASSIGNMENTS, 0);
    no_tags(&mut request);
    request.extend(TIMEOUT_MS.to_be_bytes());
    length(&mut request, topics.len());
    for (name, partitions) in topics {
        length(&mut request, name.len());
        request.extend(name.as_bytes());
        length(&mut request, partitions.len());
        for (partition, replicas) in partitions {
            request.extend(partition.to_be_bytes());
            length(&mut request, replicas.len());
            let turned = replicas.iter().cycle().skip(1).take(replicas.len());
            turned.for_each(|replica| request.extend(replica.to_be_bytes()));
            no_tags(&mut request);
        }
        no_tags(&mut request);
    }
    no_tags(&mut request);
    request
}

/// Version 1, which is not flexible.
fn elect() -> Vec<u8> {
    let mut request = head(ELECT_LEADERS, 1);
    request.push(PREFERRED);
    request.extend(ALL.to_be_bytes());
    request.extend(TIMEOUT_MS.to_be_bytes());
    request
}

fn no_tags(request: &mut Vec<u8>) {
    request.push(0);
}

fn length(request: &mut Vec<u8>, length: usize) {
    let mut left = length + 1;
    while left > 0x7f {
        request.push(left as u8 & 0x7f | 0x80);
        left >>= 7;
    }
    request.push(left as u8);
}
