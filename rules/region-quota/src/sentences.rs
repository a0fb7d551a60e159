//! What the merchant reads: which kind of share it is, and what becomes of it at the release.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rushgate_rule::listed;

use crate::Params;

/// Bytes of a sentence that the host allows.
const SENTENCE_BYTES_MAX: usize = 512;

pub(crate) fn reserves(params: &Params) -> String {
    let others = params
        .others
        .map(|share| format!(" and {share}{} for all others together", params.unit.words()))
        .unwrap_or_default();
    let rest = match &params.release {
        Some(_) => "All the rest, and from then on all that is left, is for every region.",
        None => "All the rest is for every region; what is reserved and not ordered stays unsold.",
    };
    let until = until(params);
    let sentence = |shares: &str| format!("Reserved of each SKU {until}: {shares}{others}. {rest}");
    let whole = sentence(&shares(params));
    match whole.len() <= SENTENCE_BYTES_MAX {
        true => whole,
        false => sentence(&format!("the shares of {} regions", params.shares.len())),
    }
}

pub(crate) fn caps(params: &Params) -> String {
    format!(
        "Every region gets at most its share of each SKU {}: {}{}.",
        until(params),
        shares(params),
        from_then_on(params)
    )
}

pub(crate) fn cap_of_others(params: &Params) -> String {
    let most = match params.others {
        Some(share) => format!("at most {share}{} of each SKU", params.unit.words()),
        None => "at most what the shares leave of each SKU".into(),
    };
    format!(
        "All other regions together get {most} {}{}.",
        until(params),
        from_then_on(params)
    )
}

fn from_then_on(params: &Params) -> &'static str {
    match &params.release {
        Some(_) => "; from then on, what is left is for every region",
        None => "",
    }
}

/// `eu 40 %, us 30 %`
fn shares(params: &Params) -> String {
    let unit = params.unit.words();
    let shares: Vec<String> = params
        .shares
        .iter()
        .map(|(region, share)| format!("{region} {share}{unit}"))
        .collect();
    let shares: Vec<&str> = shares.iter().map(String::as_str).collect();
    listed(&shares)
}

/// `until 2 hours after the opening`, `to the end of the sale`
fn until(params: &Params) -> String {
    let Some(release) = &params.release else {
        return "to the end of the sale".into();
    };
    let words = release.words();
    format!("until {}", words.strip_prefix("at ").unwrap_or(&words))
}
