//! A handover under way.

use std::future::Future;
use std::pin::Pin;

use anyhow::anyhow;
use portkeep_engine::{GiveUp, Outcome};

/// It does not borrow who was asked for it.
pub(crate) type HandingOver = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send>>;

/// What is started directly ends when nobody waits for it.
pub(super) fn unless(give_up: &GiveUp, handover: HandingOver) -> HandingOver {
    let give_up = give_up.clone();
    Box::pin(async move {
        tokio::select! {
            result = handover => result,
            () = give_up.asked() => Err(anyhow!("it was given up for a newer version")),
        }
    })
}
