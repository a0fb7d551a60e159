//! `rushgate campaign`: campaigns over the control plane, one by one or as a file says.

mod api;
mod apply;
mod change;
mod diff;
mod eyes;
mod list;
mod running;
mod sale;
mod steps;
mod unread;
mod watch;

use clap::Subcommand;

/// What can be done with campaigns.
#[derive(Debug, Subcommand)]
pub enum Campaign {
    /// Lists campaigns, the one made last first.
    List(list::List),
    /// Shows one campaign: its times, its stock, and what it rejected.
    Show(list::Show),
    /// Creates a campaign as a file says.
    Create(change::Create),
    /// Puts a revision in force, an earlier one as well.
    Activate(change::Activate),
    /// Shows a revision and approves it, where a campaign needs two people.
    Approve(eyes::Approve),
    /// Takes all approvals of a revision back that is not in force.
    Withdraw(eyes::Withdraw),
    /// Lists changes that wait for another person, and what became of others.
    Proposals(eyes::Proposals),
    /// Shows a change that another person proposed, approves it, and has it made.
    ApproveProposal(eyes::ApproveProposal),
    /// Takes a proposal back that waits.
    WithdrawProposal(eyes::WithdrawProposal),
    /// Creates a campaign like another one, at another time.
    Clone(change::Clone),
    /// Removes a campaign that never admitted an order.
    Delete(change::Delete),
    /// Writes a campaign as the file that `apply` and `create` read.
    Export(list::Export),
    /// Brings a campaign to what a file says.
    ///
    /// A campaign that is not there is created, after the control plane has tried it. Otherwise the differences are shown in
    /// sentences, and changed when somebody says yes; where there are none, nothing is done. A module that the file names by its
    /// id alone may be any version of it.
    ///
    /// Ends with 0 where the campaign is as the file says, now or already; with 2 where something would change and --dry-run forbids
    /// it; with 1 where something is wrong, or nobody said yes.
    Apply(apply::Apply),
    /// Stops taking orders for a while.
    Pause(running::Pause),
    /// Lets a paused sale go on.
    Resume(running::Resume),
    /// Ends a sale now, for good.
    End(running::End),
    /// Gives a campaign another title, other times, pages of other origins, or other terms for its orders.
    Set(running::Set),
    /// Changes how many units of a SKU there are.
    Stock(running::Stock),
    /// Shows a running sale: units left, how fast they go, rejections by reason, and what is on its way to the database.
    ///
    /// Once a second until Ctrl-C: in a terminal the page is drawn anew, elsewhere each look is a line, and with --json one of JSON.
    Watch(watch::Watch),
}

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Campaign) -> anyhow::Result<()> {
    match command {
        Campaign::List(args) => list::list(&args).await,
        Campaign::Show(args) => list::show(&args).await,
        Campaign::Create(args) => change::create(&args).await,
        Campaign::Activate(args) => change::activate(&args).await,
        Campaign::Approve(args) => eyes::approve(&args).await,
        Campaign::Withdraw(args) => eyes::withdraw(&args).await,
        Campaign::Proposals(args) => eyes::proposals(&args).await,
        Campaign::ApproveProposal(args) => eyes::approve_proposal(&args).await,
        Campaign::WithdrawProposal(args) => eyes::withdraw_proposal(&args).await,
        Campaign::Clone(args) => change::clone(&args).await,
        Campaign::Delete(args) => change::delete(&args).await,
        Campaign::Export(args) => list::export(&args).await,
        Campaign::Apply(args) => apply::apply(&args).await,
        Campaign::Pause(args) => running::pause(&args).await,
        Campaign::Resume(args) => running::resume(&args).await,
        Campaign::End(args) => running::end(&args).await,
        Campaign::Set(args) => running::set(&args).await,
        Campaign::Stock(args) => running::stock(&args).await,
        Campaign::Watch(args) => watch::watch(&args).await,
    }
}
