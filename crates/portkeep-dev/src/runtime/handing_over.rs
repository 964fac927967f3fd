//! Handover under way.

use std::future::Future;
use std::pin::Pin;

use anyhow::anyhow;
use portkeep_engine::{Cancel, Outcome};

/// It does not borrow who was asked for it.
pub(crate) type HandingOver = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send>>;

/// What is started directly ends when nobody waits for it.
pub(super) fn unless(cancel: &Cancel, handover: HandingOver) -> HandingOver {
    let cancel = cancel.clone();
    Box::pin(async move {
        tokio::select! {
            result = handover => result,
            () = cancel.asked() => Err(anyhow!("it was given up for a newer version")),
        }
    })
}
