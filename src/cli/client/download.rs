//! An answer that may be longer than memory: written on as it comes.

use std::io::Write;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Method;

use super::{ANSWER_BYTES_MAX, ANSWER_TIME_MAX, API, Answer, Client, ClientError};
use crate::wire::innermost;

impl Client {
    /// Writes what a path answers to `out`; says how many bytes came. A piece that does not come within
    /// [`ANSWER_TIME_MAX`] does not come; all of it may take as long as it takes.
    ///
    /// An answer that breaks off is an error: what was written so far is not all of it.
    pub async fn download(&self, path: &str, out: &mut dyn Write) -> anyhow::Result<u64> {
        let url = format!("{}{API}{path}", self.base);
        let request = self.request(Method::GET, &url, None, Bytes::new())?;
        let slow = |_| ClientError::Slow {
            url: url.clone(),
            time: ANSWER_TIME_MAX,
        };
        let broken = |error: &(dyn std::error::Error + 'static)| ClientError::Broken {
            url: url.clone(),
            cause: innermost(error),
        };
        let asked = tokio::time::timeout(ANSWER_TIME_MAX, self.http.request(request)).await;
        let response = asked.map_err(slow)?.map_err(|error| self.unsent(error))?;
        let (parts, mut body) = response.into_parts();
        if !parts.status.is_success() {
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect();
            let body = tokio::time::timeout(ANSWER_TIME_MAX, body).await.map_err(slow)?;
            let answer = Answer {
                status: parts.status,
                body: body.map_err(|error| broken(error.as_ref()))?.to_bytes(),
            };
            return Err(self.refused(Method::GET, path, &answer).into());
        }
        let mut bytes = 0;
        while let Some(frame) = tokio::time::timeout(ANSWER_TIME_MAX, body.frame())
            .await
            .map_err(slow)?
        {
            let frame = frame.map_err(|error| broken(&error))?;
            if let Some(data) = frame.data_ref() {
                out.write_all(data)?;
                bytes += data.len() as u64;
            }
        }
        Ok(bytes)
    }
}
