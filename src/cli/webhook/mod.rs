//! `rushgate webhook`: endpoints that hear what becomes of orders, over the control plane.

mod change;
mod deliveries;
mod list;

use clap::Subcommand;

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Lists webhooks, the oldest first.
    List(list::List),
    /// Shows one webhook, and how many deliveries wait for it.
    Show(list::Show),
    /// Makes a webhook, and shows its secret: this once, and never again.
    Add(change::Add),
    /// Gives a webhook another URL, other events or another note.
    Set(change::Set),
    /// Gives a webhook another secret; the old one signs as well for a while.
    Rotate(change::Rotate),
    /// Removes a webhook, with what waits for it.
    Remove(change::Remove),
    /// Sends to a webhook again; what waited goes first.
    Enable(change::One),
    /// Sends nothing more to a webhook; what it is to hear waits.
    Disable(change::One),
    /// Shows what was sent to a webhook, the newest first, and what came back.
    Deliveries(deliveries::Deliveries),
    /// Sends deliveries again: those that failed, those of a time, or those of an order.
    Replay(deliveries::Replay),
    /// Sends a message of no meaning now, and says what came of it; ends with 1 where it was not taken.
    Test(deliveries::Test),
}

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Webhook) -> anyhow::Result<()> {
    match command {
        Webhook::List(args) => list::list(&args).await,
        Webhook::Show(args) => list::show(&args).await,
        Webhook::Add(args) => change::add(&args).await,
        Webhook::Set(args) => change::set(&args).await,
        Webhook::Rotate(args) => change::rotate(&args).await,
        Webhook::Remove(args) => change::remove(&args).await,
        Webhook::Enable(args) => change::disable(&args, false).await,
        Webhook::Disable(args) => change::disable(&args, true).await,
        Webhook::Deliveries(args) => deliveries::deliveries(&args).await,
        Webhook::Replay(args) => deliveries::replay(&args).await,
        Webhook::Test(args) => deliveries::test(&args).await,
    }
}
