//! The buyers of a run: whom they believe, whose tokens they show, and what became of the tokens.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rushgate::cli::client::tls;
use rushgate::cli::load::{LoadConfig, LoadReport, Tokens};
use testkit::authority::Authority;
use testkit::deployment::Setup;
use tokio::time::Instant;

use crate::Deployment;
use crate::issuer::Issuer;
use crate::ledger::Checks;

/// A set without the old key is read within seconds.
const OLD_KEY_GONE_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

pub struct Buyers {
    authority: Option<Authority>,
    /// None: gateways take anybody's word.
    issuer: Option<Issuer>,
}

impl Buyers {
    /// Makes the gateways that `setup` starts take these buyers' tokens.
    pub async fn new(setup: &mut Setup, signed: bool) -> Result<Self> {
        let authority = setup.authority.clone();
        let issuer = match signed || authority.is_some() {
            true => Some(Issuer::start(authority.as_ref()).await?),
            false => None,
        };
        if let Some(issuer) = &issuer {
            setup.env.extend(issuer.env());
            setup.dev_auth = false;
        }
        Ok(Self { authority, issuer })
    }

    pub fn ca(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(Authority::ca)
    }

    /// The keys are replaced in two steps after so many requests each.
    pub fn tokens(&self, each: u64) -> Tokens {
        let issuer = self.issuer.as_ref();
        issuer.map_or_else(Tokens::default, |issuer| issuer.tokens(each))
    }

    /// For a load of so many requests, so that the replacement falls into the middle of it.
    pub fn share(config: &LoadConfig) -> u64 {
        (config.attempts as f64 * (1.0 + config.twice) / 3.0) as u64
    }

    /// Nobody was refused for a token; with an issuer, both keys signed, and the old one is believed no longer.
    pub async fn check(
        &self,
        deployment: &Deployment,
        report: &LoadReport,
        campaign: &str,
        verdict: &mut Checks,
    ) -> Result<()> {
        verdict.sum("401 answers", report.answered(401), 0);
        let Some(issuer) = &self.issuer else {
            return Ok(());
        };
        let late: u64 = report
            .answers
            .values()
            .filter_map(|said| said.get("keys-unavailable"))
            .sum();
        let (tokens, asked) = issuer.figures();
        println!(
            "  note   {tokens} tokens, keys asked for {asked} times, {late} orders asked to come again for a key"
        );
        let targets = deployment.targets();
        let begun = Instant::now();
        for target in &targets {
            while self.quota(target, campaign, issuer).await? != 401 {
                if begun.elapsed() > OLD_KEY_GONE_WITHIN {
                    verdict.told(&format!("{target} refuses tokens of the old key"), false);
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        verdict.told("every gateway refuses tokens of the old key", true);
        Ok(())
    }

    /// The status of a question under the old key.
    async fn quota(&self, target: &str, campaign: &str, issuer: &Issuer) -> Result<u16> {
        let trust = self.authority.as_ref().map(Authority::trust);
        let base = match target.contains("://") {
            true => target.to_owned(),
            false => format!("http://{target}"),
        };
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build(tls::connector(trust.as_ref())?);
        let request = Request::get(format!("{base}/v1/campaigns/{campaign}/quota"))
            .header("authorization", format!("Bearer {}", issuer.old_token("whoever")))
            .body(Empty::new())?;
        match client.request(request).await?.status().as_u16() {
            status @ (200 | 401) => Ok(status),
            status => bail!("{target} answers {status} when asked for a quota"),
        }
    }
}
