//! Where records and their orders stand in a log.

use std::fmt;
use std::str::FromStr;

/// Where an order stands in its partition: the offset of its record, and its position in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    pub offset: i64,
    /// 0 for the only order of a record.
    pub position: u32,
}

/// The first order of a record, or its only one.
impl From<i64> for At {
    fn from(offset: i64) -> Self {
        Self { offset, position: 0 }
    }
}

/// Where a record, or an order of one, was when it failed first: the id of a dead letter,
/// `<topic>/<partition>/<offset>`, and `:<position>` where that is not 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Of the order in its record.
    pub position: u32,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)?;
        match self.position {
            0 => Ok(()),
            position => write!(f, ":{position}"),
        }
    }
}

/// The text is no id of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no id of a dead letter: write <topic>/<partition>/<offset> or <topic>/<partition>/<offset>:<position>, \
     as `rushgate dlt list` prints it"
)]
pub struct LetterIdError(String);

impl FromStr for LetterId {
    type Err = LetterIdError;

    fn from_str(text: &str) -> Result<Self, LetterIdError> {
        let odd = || LetterIdError(text.to_owned());
        let mut parts = text.rsplitn(3, '/');
        let place = parts.next().map(|part| match part.split_once(':') {
            Some((offset, position)) => (offset, position),
            None => (part, "0"),
        });
        let offset = place
            .and_then(|(offset, _)| offset.parse().ok())
            .filter(|n| *n >= 0);
        let position = place
            .and_then(|(_, position)| position.parse().ok())
            .filter(|n| i32::try_from(*n).is_ok());
        let partition = parts
            .next()
            .and_then(|part| part.parse().ok())
            .filter(|n| *n >= 0);
        let topic = parts.next().filter(|topic| !topic.is_empty());
        Ok(Self {
            topic: topic.ok_or_else(odd)?.to_owned(),
            partition: partition.ok_or_else(odd)?,
            offset: offset.ok_or_else(odd)?,
            position: position.ok_or_else(odd)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_wrong_ones_say_what_is_right() {
        let origin: LetterId = "rushgate.orders/3/17".parse().expect("an id");
        assert_eq!((origin.partition, origin.offset, origin.position), (3, 17, 0));
        assert_eq!(origin.to_string(), "rushgate.orders/3/17");
        let seventh: LetterId = "rushgate.orders/3/17:7".parse().expect("an id");
        assert_eq!((seventh.offset, seventh.position), (17, 7));
        assert_eq!(seventh.to_string(), "rushgate.orders/3/17:7");
        assert!(origin < seventh, "in the order of the record");
        for wrong in [
            "",
            "3/17",
            "/3/17",
            "t/x/1",
            "t/1/-1",
            "t/1",
            "t/1/2/x",
            "t/1/2:",
            "t/1/2:x",
            "t/1/:2",
            "t/1/2:-1",
            "t/1/2:3000000000",
        ] {
            let error = wrong.parse::<LetterId>().expect_err(wrong).to_string();
            assert!(error.contains("<topic>/<partition>/<offset>"), "{error}");
        }
    }
}
