//! The hand-written scripts of `lua/`, which no plan changes.

use std::sync::LazyLock;

use super::Script;

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident = $file:literal $(with $($part:literal),+)?;)*) => {
        $($(#[$doc])* pub static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = include_str!(concat!("../../lua/", $file, ".lua")).to_owned();
            // A part stands where the script, or a part before it, names it.
            $($(let text = text.replace(
                concat!("-- part: ", $part, "\n"),
                include_str!(concat!("../../lua/parts/", $part, ".lua")),
            );)+)?
            Script::new($file, text)
        });)*
    };
}

fixed! {
    /// Removes acknowledged outbox entries and counts their orders as settled.
    SETTLE = "settle";
    /// Undoes one order's charges and stock, exactly once.
    RELEASE = "release";
    /// Rebuilds a shard from the database, step by step, behind a closed gate.
    RESTORE = "restore" with "fence";
    /// Puts buckets of an uploaded list next to a shard.
    AUDIENCE = "audience" with "fence";
    /// Moves the fence to a newer epoch and revision, and adds the units that came with it.
    ACTIVATE = "activate" with "fence";
    /// Stops admissions, or lets them go on.
    PAUSE = "pause" with "fence";
    /// Readies a shard for a change of its stock, or takes units off it, once per change.
    RESTOCK = "restock";
    /// Keeps the text of the admission script in force for operators.
    SHOW = "show";
    /// Finds orders by id: record, and whether still in the outbox.
    LOOKUP = "lookup";
    /// Reads old outbox entries under a lease.
    OUTBOX = "outbox" with "frame", "length";
    /// Adds a gateway's rejection figures and reads the shard's state.
    WATCH = "watch";
    /// What gateways tell each other: which campaigns have orders, and whether the memory is the same.
    PULSE = "pulse";
    /// Makes the buckets of a family last longer, a few per call.
    PROLONG = "prolong" with "fence";
    /// Reads a shard at one moment: stock, and what is in the outbox.
    LEDGER = "ledger" with "frame", "length";
    /// Reads whole buckets.
    BUCKETS = "buckets";
    /// Reads fields of buckets.
    COUNTS = "counts";
    /// Puts one value right, unless it has changed since it was compared.
    REPAIR = "repair";
}
