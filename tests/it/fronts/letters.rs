//! A control plane that has no letters and nothing to compare.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admin::{Comparing, Letters};
use rushgate::audit::{AskedBy, Asker};
use rushgate::letters::{Act, Asked, Done, LetterError, LetterInFull, LetterQuery, Page, no_letter};
use rushgate::reconcile::{CompareError, Comparison, LostOrders};
use serde_json::Value;

pub struct NoLetters;

type Answered<'a, T> = BoxFuture<'a, Result<T, LetterError>>;

fn none<'a, T: Send + 'a>(id: &str) -> Answered<'a, T> {
    let unknown = LetterError::Unknown(no_letter(id));
    async { Err(unknown) }.boxed()
}

impl Letters for NoLetters {
    fn list<'a>(
        &'a self,
        _: Option<&'a str>,
        _: &'a LetterQuery,
        _: Option<&'a str>,
        _: u32,
    ) -> Answered<'a, Page> {
        let (letters, totals) = (Vec::new(), Vec::new());
        async { Ok(Page { letters, totals }) }.boxed()
    }

    fn show<'a>(&'a self, id: &'a str) -> Answered<'a, LetterInFull> {
        none(id)
    }

    fn repair<'a>(&'a self, _: AskedBy<'a>, id: &'a str, _: &'a Value) -> Answered<'a, LetterInFull> {
        none(id)
    }

    fn act<'a>(
        &'a self,
        _: AskedBy<'a>,
        _: Option<&'a str>,
        (_, asked): (Act, &'a Asked),
        _: bool,
    ) -> Answered<'a, Done> {
        match asked.ids.as_deref() {
            Some([first, ..]) => none(first),
            _ => async { Ok(Done::default()) }.boxed(),
        }
    }
}

pub struct NothingToCompare;

impl Comparing for NothingToCompare {
    fn compare<'a>(
        &'a self,
        campaign: &'a str,
        _: Option<(&'a Asker, LostOrders)>,
    ) -> BoxFuture<'a, Result<Comparison, CompareError>> {
        let unknown = CompareError::UnknownCampaign(campaign.to_owned());
        async { Err(unknown) }.boxed()
    }
}
