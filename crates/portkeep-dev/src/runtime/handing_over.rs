//! Handover in progress.

use std::future::Future;
use std::pin::Pin;

use anyhow::anyhow;
use portkeep_engine::{Cancel, Outcome};

/// It borrows nothing from the session.
pub(crate) type HandingOver = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send>>;

/// A version that is started directly ends when nobody waits for it.
pub(super) fn unless(cancel: &Cancel, handover: HandingOver) -> HandingOver {
    let cancel = cancel.clone();
    Box::pin(async move {
        tokio::select! {
            result = handover => result,
            () = cancel.asked() => Err(anyhow!("it was given up for a newer version")),
        }
    })
}
