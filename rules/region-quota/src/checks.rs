//! What a merchant can mistake in shares, and no schema can say.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rushgate_rule::params::check_value;
use rushgate_rule::{Context, Diagnostic, refuse};

use crate::reserve::REGIONS_MAX;
use crate::{Mode, Params};

pub fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for region in params.shares.keys() {
        check_value("/shares", region, &mut problems);
    }
    if !params.region.can_be_missing() {
        let message = format!("{} is no region", params.region.as_str());
        let hint = "use a claim of the token such as claim:region, or client:region";
        problems.push(Diagnostic::error("/region", "no-region", message).hint(hint));
    }
    let regions = params.shares.len();
    if params.mode == Mode::Reserve && regions > REGIONS_MAX {
        let message = format!("{regions} regions; at most {REGIONS_MAX} can have a reserve");
        let hint = "give the smaller ones one share together as others, or say \"mode\": \"cap\"";
        problems.push(Diagnostic::error("/shares", "too-many", message).hint(hint));
    }
    sum(context, params, &mut problems);
    rounded_to_nothing(context, params, &mut problems);
    if let Some(release) = &params.release
        && !release.is_within(context)
    {
        let message = format!(
            "{} is not between the opening and the closing of the campaign",
            release.words()
        );
        let hint = "choose a time while the campaign is open, or leave release out";
        problems.push(Diagnostic::error("/release", "outside", message).hint(hint));
    }
    refuse(problems)
}

/// More was given away than there is.
fn sum(context: &Context, params: &Params, problems: &mut Vec<Diagnostic>) {
    let shares = params.shares.values().copied().chain(params.others);
    let sum: u64 = shares.map(u64::from).sum();
    let unit = params.unit.words();
    let mut over = |whole: u64, of: String| {
        let message = format!("the shares are {sum}{unit} together, more than {of}");
        let hint = format!("lower them by {}{unit}", sum - whole);
        problems.push(Diagnostic::error("/shares", "over-whole", message).hint(hint));
    };
    match params.unit.whole() {
        Some(whole) if sum > whole.unsigned_abs() => {
            over(whole.unsigned_abs(), format!("the whole of {whole}{unit}"))
        }
        Some(_) => {}
        None => {
            let short = context
                .skus
                .iter()
                .filter(|sku| sku.stock < sum)
                .min_by_key(|sku| sku.stock);
            if let Some(sku) = short {
                over(sku.stock, format!("the {} units of {}", sku.stock, sku.id));
            }
        }
    }
}

/// A share that is less than one unit sells nothing.
fn rounded_to_nothing(context: &Context, params: &Params, problems: &mut Vec<Diagnostic>) {
    let Some(least) = context.skus.iter().min_by_key(|sku| sku.stock) else {
        return;
    };
    let shares = params.shares.iter().map(|(region, share)| (Some(region), *share));
    for (region, share) in shares.chain(params.others.map(|share| (None, share))) {
        let units = params.unit.of(least.stock, share);
        if share > 0 && units == 0 {
            let whose = region.map_or_else(|| "the other regions".into(), |region| format!("{region:?}"));
            let message = format!(
                "{share}{} of the {} units of {} are less than one unit for {whose}",
                params.unit.words(),
                least.stock,
                least.id
            );
            let pointer = if region.is_some() { "/shares" } else { "/others" };
            problems.push(
                Diagnostic::error(pointer, "less-than-one", message).hint("raise the share, or give units"),
            );
        }
    }
}
