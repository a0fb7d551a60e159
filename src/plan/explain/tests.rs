//! Snapshots of explanations.

use super::*;
use crate::plan::check;
use crate::plan::samples::samples;

fn explained(name: &str) -> String {
    let sample = samples()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect(name);
    explain(&check(sample.plan, sample.context).expect("passes")).join("\n")
}

#[test]
fn limits_name_whom_and_when() {
    insta::assert_snapshot!(explained("orders per user"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    At most 2 orders per user. Enforced: at most 2. Counts orders per user, over the whole campaign.
    "#);
    insta::assert_snapshot!(explained("per user and SKU"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    One order per user and SKU. Enforced: at most 1. Counts orders per user and SKU, over the whole campaign.
    "#);
    insta::assert_snapshot!(explained("per day across the clock change in spring"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    One order per user and day in Berlin. Enforced: at most 1. Counts orders per user, per day in the time zone Europe/Berlin.
    "#);
    insta::assert_snapshot!(explained("tumbling window"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    Two orders per user and hour. Enforced: at most 2. Counts orders per user, in windows of 1 hour that start at 2026-03-28T12:10:00.000Z and every 1 hour from there.
    "#);
    insta::assert_snapshot!(explained("rolling window"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    At most 5 units per user in any minute. Enforced: at most 5. Counts units per user, over the last 1 minute.
    "#);
}

#[test]
fn forgeable_attributes_are_named() {
    insta::assert_snapshot!(explained("cooldown"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    30 seconds between two orders of one device. Enforced: counted = 0. Counts orders per device, over the last 30 seconds. device is sent by the buyer's program and can be forged.
    "#);
    insta::assert_snapshot!(explained("several subjects at once"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    A limit for each of user, device and address. Enforced: at most 2. Counts orders per user, over the whole campaign.
    A limit for each of user, device and address. Enforced: at most 3. Counts orders per device, over the whole campaign. device is sent by the buyer's program and can be forged.
    A limit for each of user, device and address. Enforced: at most 2. Counts orders per street and town, over the whole campaign. street is sent by the buyer's program and can be forged. town is sent by the buyer's program and can be forged.
    "#);
    insta::assert_snapshot!(explained("not member of an uploaded list"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    Stolen devices and blocked SKUs are turned away. Enforced: not (device is in the list stolen or SKU is in the list blocked). Looks up the SKU in the list blocked (version 1). Looks up the device in the list stolen (version 1). device is sent by the buyer's program and can be forged.
    "#);
}

#[test]
fn early_access_says_when() {
    insta::assert_snapshot!(explained("early access"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    Gold and platinum members come in an hour early. Opens 1 hour earlier for them, at 2026-03-28T11:00:00.000Z. Enforced for: tier of the token is one of "gold", "platinum".
    Invited users come in a minute early. Opens 1 minute earlier for them, at 2026-03-28T11:59:00.000Z. Enforced for: user is in the list invited. Looks up the user in the list invited (version 1).
    One order per user. Enforced: at most 1. Counts orders per user, over the whole campaign.
    "#);
}

#[test]
fn durations_read_as_words() {
    assert_eq!(duration(0), "0 milliseconds");
    assert_eq!(duration(1), "1 millisecond");
    assert_eq!(duration(5_400_000), "1 hour 30 minutes");
    assert_eq!(duration(2 * 86_400_000 + 1001), "2 days 1 second 1 millisecond");
}

#[test]
fn what_texts_say_is_explained() {
    insta::assert_snapshot!(explained("a limit and a cost that claims say"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    As many points as the token allows. Enforced: at most (most of the token as an integer from 0 to 100; 2 where it is missing, 0 where it is no such integer). Counts (weight of the token as an integer from 0 to 9; 1 where it is missing, 9 where it is no such integer) for each order per user, over the whole campaign.
    "#);
    insta::assert_snapshot!(explained("what begins and what ends with a text"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    Only to postcodes that begin with 10, 12 or ü. Enforced: postcode starts with one of "10", "12", "ü". postcode is sent by the buyer's program and can be forged.
    One order for whoever is not of the house. Enforced: at most 1, where not (email of the token ends with "@example.com"). Counts orders per user, over the whole campaign.
    "#);
}

#[test]
fn what_the_database_cannot_hold_is_said() {
    insta::assert_snapshot!(explained("reserved for two regions"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    8 units for the EU, 4 for the US. Enforced: quantity + (0 where region of the token = "eu", else the larger of (8 − counted by sample/count-0 and 0)) + (0 where region of the token = "us", else the larger of (4 − counted by sample/count-1 and 0)) ≤ units left of the SKU, where the time of the order < 2026-03-28T13:00:00.000Z. Counts (quantity where region of the token = "eu", else 0) for each order per SKU, over the whole campaign. Counts (quantity where region of the token = "us", else 0) for each order per SKU, over the whole campaign. Redis alone enforces it: what is admitted against it because Redis lost writes is not revoked.
    "#);
    insta::assert_snapshot!(explained("smaller orders as stock runs out"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    Small orders only once half is sold. Enforced: quantity ≤ (units of the SKU in all ÷ 10 (rounded down) where units of the SKU in all ÷ 2 (rounded down) < units left of the SKU, else 1). Redis alone enforces it: what is admitted against it because Redis lost writes is not revoked.
    "#);
}

#[test]
fn what_the_campaign_says_of_a_sku_is_named_as_that() {
    insta::assert_snapshot!(explained("attributes of the SKU"), @r#"
    The sale opens at 2026-03-28T12:00:00.000Z and closes at 2026-04-01T12:00:00.000Z.
    2 mugs, 3 shirts, one of everything else. Enforced: at most ("mugs": 2, "shirts": 3, every other: 1) by category of the SKU. Counts units per user and category of the SKU, over the whole campaign.
    Limited editions: one order each. Enforced: at most 1, where edition of the SKU = "limited". Counts orders per user and SKU, over the whole campaign.
    No colour that has faded. Enforced: not (colour of the SKU is in the list faded). Looks up the colour of the SKU in the list faded (version 1).
    "#);
}
